/* Saving where there is no room or no permission: the old file stays, whole, with nothing beside it.
 *
 *   test-full-disk FOLDER
 *
 * A full disk is a small tmpfs, which needs root (skipped otherwise); a limit on the size of files needs no
 * privilege. As root permissions are tried in a child without privileges. */
#define _GNU_SOURCE
#include "scenarios.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const formats[] = {"carousel", "keras-h5", "keras", "keras-weights",
                                      "keras-legacy-weights", "torch", "chainer", "tf1"};
enum { FORMATS = sizeof formats / sizeof *formats };

static void no_failure(carousel_status status, const char *call) {
    (void)status;
    fprintf(stderr, "%s: %s\n", call, carousel_last_error_message());
}

static carousel_network *first, *second;
static uint64_t first_digest;

static uint64_t digest_of_file(const char *path) {
    carousel_network *network = NULL;
    digest = 0;
    if (carousel_network_copy(first, &network)) return 0;
    if (carousel_network_load_weights(network, path, NULL) == CAROUSEL_OK) {
        digest = 1;
        add_parameters(network);
    }
    carousel_network_free(network);
    return digest;
}

static int entries(const char *directory) {
    DIR *stream = opendir(directory);
    struct dirent *entry;
    int number = 0;
    while (stream && (entry = readdir(stream)))
        number += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
    if (stream) closedir(stream);
    return number;
}

static carousel_status save(const carousel_network *network, const char *path, int format) {
    carousel_save_options options;
    CAROUSEL_INIT(options);
    options.format = formats[format];
    return carousel_network_save(network, path, &options);
}

/* `path` holds the first network; the second cannot be saved, and the first is still there, alone. */
static void refuses(const char *directory, const char *path, int format, const char *reason) {
    FAILS(save(second, path, format), CAROUSEL_ERROR_IO, reason);
    CHECK(strstr(carousel_last_error_message(), path) != NULL);
    CHECK(digest_of_file(path) == first_digest);
    CHECK(entries(directory) == 1);
}

/* 1 for a save of the second network that left the first, alone; 0 for one that replaced it. */
static int was_refused(carousel_status status, const char *path, const char *directory) {
    if (status == CAROUSEL_OK) {
        CHECK(digest_of_file(path) != first_digest && digest_of_file(path) != 0);
        return 0;
    }
    CHECK(status == CAROUSEL_ERROR_IO);
    CHECK(digest_of_file(path) == first_digest);
    CHECK(entries(directory) == 1);
    return 1;
}

/* A file system with just enough room for the old file, and a little more each time until both fit. */
static void test_full_disk(const char *directory) {
    char path[1100];
    int format, refused = 0;
    if (geteuid() != 0 || mount("tmpfs", directory, "tmpfs", 0, "size=4k")) {
        printf("a full disk: skipped, a small tmpfs cannot be mounted here\n");
        return;
    }
    snprintf(path, sizeof path, "%s/model.h5", directory);
    for (format = 0; format < FORMATS; format++) {
        carousel_status status = CAROUSEL_ERROR_IO;
        struct stat info;
        long room;
        mount("tmpfs", directory, "tmpfs", MS_REMOUNT, "size=1m");
        SUCCEEDS(save(first, path, format));
        CHECK(stat(path, &info) == 0);
        for (room = (long)info.st_blocks / 2 + 4; status != CAROUSEL_OK && room < 1024; room += 4) {
            char size[32];
            snprintf(size, sizeof size, "size=%ldk", room);
            CHECK(mount("tmpfs", directory, "tmpfs", MS_REMOUNT, size) == 0);
            status = save(second, path, format);
            refused += was_refused(status, path, directory);
        }
        CHECK(status == CAROUSEL_OK);
        unlink(path);
    }
    printf("a full disk: %d saves in %d layouts refused\n", refused, FORMATS);
    CHECK(refused > FORMATS);
    CHECK(umount(directory) == 0);
}

/* The system stops writing at a limit: as a full disk, but anybody can try it. */
static void test_limit(const char *directory) {
    char path[1100];
    struct rlimit old, limit;
    int format, refused = 0;
    snprintf(path, sizeof path, "%s/model.h5", directory);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    limit = old;
    for (format = 0; format < FORMATS; format++) {
        carousel_status status = CAROUSEL_ERROR_IO;
        SUCCEEDS(save(first, path, format));
        for (limit.rlim_cur = 0; status != CAROUSEL_OK && limit.rlim_cur < 1 << 20;
             limit.rlim_cur += 1000) {
            setrlimit(RLIMIT_FSIZE, &limit);
            status = save(second, path, format);
            setrlimit(RLIMIT_FSIZE, &old);
            refused += was_refused(status, path, directory);
        }
        CHECK(status == CAROUSEL_OK);
    }
    printf("a limit on files: %d saves in %d layouts refused\n", refused, FORMATS);
    CHECK(refused > FORMATS);
    unlink(path);
}

static void test_permissions(const char *directory) {
    char path[1100], link_path[1100], nowhere[1100];
    struct stat info;
    pid_t child;
    int status, format;
    snprintf(path, sizeof path, "%s/model.h5", directory);
    snprintf(link_path, sizeof link_path, "%s/link.h5", directory);
    snprintf(nowhere, sizeof nowhere, "%s/no/model.h5", directory);
    SUCCEEDS(save(first, path, 0));
    fflush(NULL);
    child = fork();
    if (child == 0) {
        checks_failed = 0;
        CHECK(chmod(path, 0444) == 0 && chmod(directory, 0555) == 0);
        if (geteuid() == 0 && setresuid(65534, 65534, 65534)) _exit(3);
        for (format = 0; format < FORMATS; format++)
            refuses(directory, path, format, "Permission denied");
        FAILS(save(second, nowhere, 0), CAROUSEL_ERROR_IO, "No such file or directory");
        _exit(checks_failed != 0);
    }
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    /* The folder may be written to, the file not. */
    CHECK(chmod(directory, 0777) == 0);
    child = fork();
    if (child == 0) {
        checks_failed = 0;
        if (geteuid() == 0 && setresuid(65534, 65534, 65534)) _exit(3);
        for (format = 0; format < FORMATS; format++)
            refuses(directory, path, format, "not writable");
        _exit(checks_failed != 0);
    }
    waitpid(child, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    /* Permissions are kept, and links stay links. */
    CHECK(chmod(path, 0640) == 0);
    CHECK(symlink("model.h5", link_path) == 0);
    SUCCEEDS(save(second, link_path, 0));
    CHECK(lstat(link_path, &info) == 0 && S_ISLNK(info.st_mode));
    CHECK(stat(path, &info) == 0 && (info.st_mode & 07777) == 0640);
    CHECK(digest_of_file(path) != first_digest);
    /* Not a file, and not a folder. */
    FAILS(save(first, directory, 0), CAROUSEL_ERROR_IO, "not a regular file");
    FAILS(save(first, "/dev/null", 0), CAROUSEL_ERROR_IO, "not a regular file");
    unlink(link_path);
    unlink(path);
}

static volatile sig_atomic_t interruptions;
static void interrupt(int number) {
    (void)number;
    interruptions++;
}

/* A host with an alarm that rings all the time, and without SA_RESTART. */
static void test_interruptions(const char *directory) {
    char path[1100];
    struct sigaction action;
    struct itimerval timer, off;
    int i;
    snprintf(path, sizeof path, "%s/model.h5", directory);
    memset(&action, 0, sizeof action);
    action.sa_handler = interrupt;
    sigaction(SIGALRM, &action, NULL);
    memset(&off, 0, sizeof off);
    memset(&timer, 0, sizeof timer);
    timer.it_value.tv_usec = timer.it_interval.tv_usec = 300;
    setitimer(ITIMER_REAL, &timer, NULL);
    for (i = 0; i < 40; i++) {
        SUCCEEDS(save(first, path, i % FORMATS));
        CHECK(digest_of_file(path) == first_digest);
    }
    setitimer(ITIMER_REAL, &off, NULL);
    printf("signals: %d during 40 saves and loads\n", (int)interruptions);
    CHECK(interruptions > 40);
    unlink(path);
}

int main(int count, char **arguments) {
    static char directory[1024];
    if (count < 2) {
        fprintf(stderr, "usage: test-full-disk FOLDER\n");
        return 2;
    }
    /* Elsewhere than in FOLDER: a user without privileges must reach it. */
    snprintf(directory, sizeof directory, "/tmp/carousel-full-disk-%d", (int)getpid());
    CHECK(mkdir(directory, 0777) == 0);
    prepare_scenarios(arguments[1]);
    on_failure = no_failure;
    first = build_network(0);
    SUCCEEDS(carousel_network_copy(first, &second));
    SUCCEEDS(carousel_network_initialize(second, 5));
    digest = 1;
    add_parameters(first);
    first_digest = digest;
    test_full_disk(directory);
    test_limit(directory);
    test_permissions(directory);
    test_interruptions(directory);
    CHECK(rmdir(directory) == 0);
    carousel_network_free(first);
    carousel_network_free(second);
    return finish();
}
