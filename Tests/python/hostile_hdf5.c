/* libhdf5 as a hostile file would have it: a library that stands before the real one, whose H5Fopen
 * does what the end of its version string, HOSTILE, says. test_untrusted.py builds it once for each. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CRASH, ABORT, LOOP, SLEEP, MEMORY, STACK, ESCAPE, LIE, FLOOD };

static volatile int depth;

static int overflow(volatile char *above) {
    volatile char here[4096];
    here[0] = above[0];
    depth++;
    return overflow(here) + here[1];
}

/* Everything that a process under someone else's control would like to do; the first thing that
 * succeeds. */
static const char *escape(void) {
    if (open("/etc/passwd", O_RDONLY) >= 0) return "opened a file";
    if (open("carousel-was-here", O_CREAT | O_WRONLY, 0600) >= 0) return "created a file";
    if (socket(AF_INET, SOCK_STREAM, 0) >= 0) return "opened a socket";
    /* Not fork(): it would wait for locks that this very thread holds, and meet the time limit. */
    if (syscall(SYS_clone, SIGCHLD, NULL) >= 0) return "made a process";
    if (execl("/bin/true", "true", (char *)NULL) == 0) return "ran a program";
    if (kill(getppid(), 0) == 0) return "reached another process";
    if (mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
        MAP_FAILED)
        return "got executable memory";
    if (unlink("/tmp/carousel-none") == 0 || errno != EPERM) return "could delete files";
    if (fcntl(4, F_GETFD) >= 0) return "has a descriptor of the host's";
    if (getenv("HOME") || getenv("PATH")) return "has the host's environment";
    return NULL;
}

int64_t H5Fopen(const char *path, unsigned flags, int64_t properties) {
    static const char lie[] = "{\"status\": 0, \"architecture\": {\"name\": \"x\", \"layers\": []}}";
    uint64_t length = sizeof lie - 1;
    char byte = 0;
    (void)path;
    (void)flags;
    (void)properties;
    switch (HOSTILE) {
    case CRASH: *(volatile int *)8 = 1; break;
    case ABORT: abort();
    case LOOP: for (;;) {}
    case SLEEP: for (;;) pause(), usleep(1000);
    case MEMORY:
        for (;;) {
            char *memory = malloc(1 << 20);
            if (!memory) return -1;
            memset(memory, 1, 1 << 20);
        }
    case STACK: return overflow(&byte);
    case ESCAPE:
        if (escape()) abort();
        return -1;
    case LIE:
        if (write(1, &length, 8) != 8 || write(1, lie, length) < 0) abort();
        for (;;) {}
    case FLOOD:
        length = UINT64_MAX / 2;
        if (write(1, &length, 8) != 8) abort();
        while (write(1, lie, sizeof lie) > 0) {}
        break;
    }
    return -1;
}
