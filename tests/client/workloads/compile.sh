# A C project is unpacked, configured, compiled and run on the mount; its sources are then read back from the server.
# The full size is 110 modules of two files each, the quick one 24.
# shellcheck shell=bash
set -euo pipefail

modules=$([ "$QUICK" = 1 ] && echo 24 || echo 110)
local_dir=$(mktemp -d /run/project.XXXXXX)
trap 'rm -rf "$local_dir"' EXIT

# A configure step, a header that it writes, modules in folders of 20, and a main that adds up what the modules return.
generate() {
    local root=$1
    mkdir -p "$root"
    awk -v root="$root" -v modules="$modules" 'BEGIN {
        main = root "/main.c"
        print "#include <stdio.h>\n#include \"config.h\"" > main
        for (i = 0; i < modules; i++) {
            folder = root "/part" int(i / 20)
            if (i % 20 == 0) system("mkdir -p " folder)
            header = folder "/module" i ".h"
            source = folder "/module" i ".c"
            print "long module" i "(long seed);" > header
            print "#include \"module" i ".h\"\n#include \"../config.h\"\n" > source
            print "static const long table[] = {" > source
            for (j = 0; j < 50; j++) printf "%d,%s", (i * 31 + j * 17) % 1009, (j % 10 == 9) ? "\n" : " " > source
            print "};\nlong module" i "(long seed)\n{\n    long sum = seed * PROJECT_FACTOR;\n" \
                "    for (int k = 0; k < 50; k++)\n        sum += table[k] * (k + 1);\n    return sum % 100003;\n}" > source
            close(header); close(source)
            print "#include \"part" int(i / 20) "/module" i ".h\"" > main
        }
        print "int main(void)\n{\n    long total = 1;" > main
        for (i = 0; i < modules; i++) print "    total = module" i "(total);" > main
        print "    printf(\"%ld\\n\", total);\n    return 0;\n}" > main
    }'
    cat >"$root/configure" <<'END'
#!/bin/sh
# Tries the compiler as autoconf would, then writes config.h and the Makefile.
set -e
echo 'int main(void) { return sizeof(long) == 8 ? 0 : 1; }' >conftest.c
cc -o conftest conftest.c
./conftest && wide=1 || wide=0
for header in stdio.h stdint.h unistd.h no_such_header.h; do
    echo "#include <$header>" >conftest.c
    name=HAVE_$(echo "$header" | tr 'a-z.' 'A-Z_')
    if cc -E conftest.c >/dev/null 2>&1; then echo "#define $name 1"; else echo "/* #undef $name */"; fi
done >config.h.new
echo "#define WIDE_LONG $wide" >>config.h.new
echo "#define PROJECT_FACTOR 7" >>config.h.new
mv config.h.new config.h
rm -f conftest conftest.c
{
    echo "OBJECTS = main.o $(ls part*/*.c | sed 's/\.c$/.o/' | tr '\n' ' ')"
    printf 'program: $(OBJECTS)\n\tcc -o $@ $(OBJECTS)\n'
    printf '%%.o: %%.c config.h\n\tcc -O0 -c -o $@ $<\n'
    printf 'clean:\n\trm -f program $(OBJECTS)\n'
} >Makefile
END
    chmod 755 "$root/configure"
}

# The same arithmetic as the program, so the result is known without the program.
expected() {
    awk -v modules="$modules" 'BEGIN {
        total = 1
        for (i = 0; i < modules; i++) {
            sum = total * 7
            for (j = 0; j < 50; j++) sum += ((i * 31 + j * 17) % 1009) * (j + 1)
            total = sum % 100003
        }
        print total
    }'
}

generate "$local_dir/project"
(cd "$local_dir/project" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$local_dir/sums"
tar -C "$local_dir" -czf "$local_dir/project.tar.gz" project
cp "$local_dir/project.tar.gz" .
tar xzf project.tar.gz
cd project
echo "$(find . -type f | wc -l) files unpacked"
./configure
make -s -j2
result=$(./program)
[ "$result" = "$(expected)" ] || { echo "the program says $result, not $(expected)"; exit 1; }
# Nothing is out of date: the times that make compares are right.
make -q program || { echo "make would build again"; exit 1; }
echo 3 >/proc/sys/vm/drop_caches
sha256sum --quiet -c "$local_dir/sums"
make -s clean
[ "$(find . -name '*.o' | wc -l)" = 0 ]
