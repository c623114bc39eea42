/* Stands before the C library's memcpy and memmove, does the same, and counts how much of what is copied is payload: bytes that
   stand in rows of MARK, with which the test fills its files. The counter lies in the file that COPIES_FILE names, so that
   whoever reads it sees it while the program runs. */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

enum { MARK = 0xa7, ROW_MIN = 32 };

static uint64_t before_the_file;
static uint64_t *counted = &before_the_file;

/* The library's own memmove under another name. */
extern void *__memmove_chk(void *to, const void *from, size_t length, size_t room);

static uint64_t marked(const unsigned char *bytes, size_t length)
{
    uint64_t found = 0;
    size_t row = 0;
    for (size_t at = 0; at < length; at++) {
        row = bytes[at] == MARK ? row + 1 : 0;
        if (row >= ROW_MIN)
            found += row == ROW_MIN ? ROW_MIN : 1;
    }
    return found;
}

static void *count_and_copy(void *to, const void *from, size_t length)
{
    uint64_t found = length < ROW_MIN ? 0 : marked(from, length);
    if (found > 0)
        __atomic_fetch_add(counted, found, __ATOMIC_RELAXED);
    return __memmove_chk(to, from, length, length);
}

void *memcpy(void *restrict to, const void *restrict from, size_t length)
{
    return count_and_copy(to, from, length);
}

void *memmove(void *to, const void *from, size_t length)
{
    return count_and_copy(to, from, length);
}

__attribute__((constructor)) static void map_the_file(void)
{
    const char *path = getenv("COPIES_FILE");
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *mapped = file < 0 ? MAP_FAILED : mmap(0, sizeof *counted, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (mapped == MAP_FAILED)
        abort();
    counted = mapped;
}
