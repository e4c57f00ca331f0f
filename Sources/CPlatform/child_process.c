#define _GNU_SOURCE
#include "CPlatform.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
enum { WAIT_ON_PIDFD = 3 }; /* P_PIDFD, which old headers lack */

size_t carousel_library_folder(char *folder, size_t capacity) {
    Dl_info info;
    if (!dladdr((const void *)carousel_library_folder, &info) || !info.dli_fname) return 0;
    char *path = realpath(info.dli_fname, NULL);
    if (!path) return 0;
    char *slash = strrchr(path, '/');
    const size_t length = slash ? (size_t)(slash - path) : 0;
    const int fits = length > 0 && length < capacity;
    if (fits) {
        memcpy(folder, path, length);
        folder[length] = 0;
    }
    free(path);
    return fits ? length : 0;
}

const char *carousel_secure_environment(const char *name) { return secure_getenv(name); }

/* A copy of a descriptor beyond those that the child will have. */
static int moved_up(int descriptor) { return fcntl(descriptor, F_DUPFD_CLOEXEC, 16); }

/* What the dynamic linker and the file layer of the child may need to know, and nothing else. */
static const char *const passed_on[] = {
    "LD_LIBRARY_PATH", "CAROUSEL_HDF5", "CAROUSEL_ZIP", "ASAN_OPTIONS", "LSAN_OPTIONS",
    "TSAN_OPTIONS"};
enum { PASSED_ON = sizeof passed_on / sizeof *passed_on };

static char **make_environment(void) {
    char **environment = calloc(PASSED_ON + 2, sizeof *environment);
    if (!environment) return NULL;
    int count = 0;
    environment[count++] = strdup("SWIFT_BACKTRACE=enable=no");
    for (int i = 0; i < PASSED_ON; i++) {
        const char *value = getenv(passed_on[i]);
        char *entry;
        if (value && asprintf(&entry, "%s=%s", passed_on[i], value) >= 0)
            environment[count++] = entry;
    }
    return environment;
}

static void free_environment(char **environment) {
    for (int i = 0; environment && environment[i]; i++) free(environment[i]);
    free(environment);
}

static int spawn(const char *program, int socket, int file, pid_t *pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    char *arguments[] = {(char *)(uintptr_t)program, NULL};
    char **environment = make_environment();
    if (!environment) return ENOMEM;
    sigemptyset(&none);
    sigfillset(&all);
    int code = posix_spawn_file_actions_init(&actions);
    if (code) {
        free_environment(environment);
        return code;
    }
    code = posix_spawnattr_init(&attributes);
    if (!code) {
        /* The host's blocked and ignored signals are not the child's. */
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setsigdefault(&attributes, &all);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        code = posix_spawn_file_actions_adddup2(&actions, socket, 0);
        if (!code) code = posix_spawn_file_actions_adddup2(&actions, socket, 1);
        if (!code)
            code = posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
        if (!code) code = posix_spawn_file_actions_adddup2(&actions, file, CAROUSEL_CHILD_FILE);
        if (!code) code = posix_spawn(pid, program, &actions, &attributes, arguments, environment);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    free_environment(environment);
    return code;
}

int carousel_child_start(const char *program, int file, carousel_child *child) {
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) return errno;
    const int theirs = moved_up(pair[1]), file_copy = moved_up(file);
    int code = theirs < 0 || file_copy < 0 ? errno : 0;
    if (!code) code = spawn(program, theirs, file_copy, &child->pid);
    if (theirs >= 0) close(theirs);
    if (file_copy >= 0) close(file_copy);
    close(pair[1]);
    if (code) {
        close(pair[0]);
        return code;
    }
    child->socket = pair[0];
    /* The number may be given to another process once the host has waited for ours. */
    child->pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
    return 0;
}

int carousel_child_end(carousel_child *child) {
    siginfo_t info;
    int result;
    memset(&info, 0, sizeof info);
    close(child->socket);
    /* A process that has begun to end keeps the reason that it had. */
    if (child->pidfd >= 0) syscall(SYS_pidfd_send_signal, child->pidfd, SIGKILL, NULL, 0);
    else kill(child->pid, SIGKILL);
    do {
        result = child->pidfd >= 0
            ? waitid((idtype_t)WAIT_ON_PIDFD, (id_t)child->pidfd, &info, WEXITED)
            : waitid(P_PID, (id_t)child->pid, &info, WEXITED);
    } while (result != 0 && errno == EINTR);
    if (child->pidfd >= 0) close(child->pidfd);
    /* ECHILD: the host waits for any child, or ignores SIGCHLD. */
    return result != 0 || info.si_code == CLD_EXITED ? 0 : info.si_status;
}

int64_t carousel_milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits until the socket is ready; 0, or an errno. */
static int wait_for(int socket, short event, int64_t deadline) {
    for (;;) {
        const int64_t left = deadline - carousel_milliseconds();
        if (left <= 0) return ETIMEDOUT;
        struct pollfd entry = {.fd = socket, .events = event};
        const int ready = poll(&entry, 1, left > INT32_MAX ? INT32_MAX : (int)left);
        if (ready > 0) return 0;
        if (ready < 0 && errno != EINTR) return errno;
    }
}

int carousel_child_write(
    const carousel_child *child, const void *data, size_t size, int64_t deadline) {
    const char *next = data;
    while (size > 0) {
        const ssize_t count = send(child->socket, next, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count > 0) {
            next += count;
            size -= (size_t)count;
        } else if (count < 0 && errno == EAGAIN) {
            const int code = wait_for(child->socket, POLLOUT, deadline);
            if (code) return code;
        } else if (count < 0 && errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

int carousel_child_read(const carousel_child *child, void *data, size_t size, int64_t deadline) {
    char *next = data;
    while (size > 0) {
        const int code = wait_for(child->socket, POLLIN, deadline);
        if (code) return code;
        const ssize_t count = recv(child->socket, next, size, MSG_DONTWAIT);
        if (count == 0) return EPIPE;
        if (count > 0) {
            next += count;
            size -= (size_t)count;
        } else if (errno != EINTR && errno != EAGAIN) {
            return errno;
        }
    }
    return 0;
}
