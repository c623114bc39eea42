# A repository of many files: init, add, commit, change, branch, merge, clone, fsck. Full 2,100 files, quick 60.
# shellcheck shell=bash
set -euo pipefail

files=$([ "$QUICK" = 1 ] && echo 60 || echo 2100)
export HOME=$WORK GIT_CONFIG_NOSYSTEM=1
git config --global user.name client
git config --global user.email client@example.org
git config --global init.defaultBranch main
git config --global gc.auto 0

# Which step took how long, and which failed.
PS4='+ $SECONDS s: '
set -x
git init -q tree
cd tree
awk -v files="$files" 'BEGIN {
    for (i = 0; i < files; i++) {
        folder = "d" int(i / 50)
        if (i % 50 == 0) system("mkdir -p " folder)
        name = folder "/file" i ".txt"
        for (line = 0; line < 5 + i % 20; line++) print "file " i " line " line " " (i * line) % 7919 > name
        close(name)
    }
}'
git add .
git commit -q -m first
[ "$(git ls-files | wc -l)" = "$files" ]
[ -z "$(git status --porcelain)" ]

git checkout -q -b change
for i in 0 7 49; do echo changed >>"d0/file$i.txt"; done
git mv d1 moved
git commit -q -a -m second
git checkout -q main
git merge -q --no-edit --no-progress change
[ "$(git ls-files | wc -l)" = "$files" ]
git fsck --full --strict
git clone -q . ../copy
echo 3 >/proc/sys/vm/drop_caches
git -C ../copy fsck --full
[ -z "$(git -C ../copy status --porcelain)" ]
diff -r --exclude=.git . ../copy
