/* Disks that fail. For every layout that is written, an old file is saved over with the 1st, 2nd, 3rd, ...
 * system call on files failing (once; or it and all later ones), with each of several errors, and with reads
 * and writes cut short: afterwards the old file or the new one is there, whole; if the call said that
 * it succeeded, the new one; nothing is left beside it; no descriptor stays open; saving again works.
 * Loading is tried in the same way: an error, or the right numbers. (There close does not fail: it never does
 * for a file that was only read, and libhdf5 1.10 crashes at the end of the process if it should.)
 *
 *   test-io-faults FOLDER [STRIDE] */
#define _GNU_SOURCE
#include "scenarios.h"
#include "system_calls.h"

#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef HAS_SYSTEM_CALL_FAULTS
int main(void) {
    printf("skipped: this test knows x86-64 Linux only\n");
    return 0;
}
#else

static void no_failure(carousel_status status, const char *call) {
    (void)status;
    checks_failed++;
    fprintf(stderr, "%s: %s\n", call, carousel_last_error_message());
}

static const struct {
    const char *format;
    int is_whole, compression;
} layouts[] = {{"carousel", 1, 0}, {"carousel", 1, 6}, {"keras-h5", 1, 0}, {"keras", 1, 0},
               {"keras-weights", 0, 0}, {"keras-legacy-weights", 0, 0}, {"torch", 0, 0},
               {"chainer", 0, 0}, {"tf1", 0, 0}, {"onnx", 0, 0}};
enum { LAYOUTS = sizeof layouts / sizeof *layouts };

static carousel_network *old_network, *new_network, *read_into;
static uint64_t old_digest, new_digest;
static carousel_save_options save_options;
static int layout;
static char path[1024];

static uint64_t digest_of(const carousel_network *network) {
    digest = 1;
    add_parameters(network);
    return digest;
}

static carousel_status save(const carousel_network *network) {
    return carousel_network_save(network, path, &save_options);
}

/* Into `read_into`. */
static carousel_status load(void) {
    carousel_network *loaded = NULL;
    carousel_status status;
    if (!layouts[layout].is_whole) return carousel_network_load_weights(read_into, path, NULL);
    status = carousel_network_load(path, NULL, &loaded);
    if (status == CAROUSEL_OK) {
        carousel_network_free(read_into);
        read_into = loaded;
    }
    return status;
}

static int count_entries(const char *directory, int removes) {
    DIR *stream = opendir(directory);
    struct dirent *entry;
    int number = 0;
    if (!stream) return -1;
    while ((entry = readdir(stream))) {
        char file[2048];
        if (entry->d_name[0] == '.' && strchr(".", entry->d_name[1])) continue;
        if (strcmp(entry->d_name, "..") == 0) continue;
        number++;
        snprintf(file, sizeof file, "%s/%s", directory, entry->d_name);
        if (removes && strcmp(file, path)) unlink(file);
    }
    closedir(stream);
    return number;
}

static long saves, loads, refusals;
static int number, leftovers_allowed;
static const char *error_name;

static void say(const char *what) {
    checks_failed++;
    fprintf(stderr, "%s%s, %s%s at call %d (%s): %s [%s]\n", layouts[layout].format,
            layouts[layout].compression ? " gzip" : "", error_name, faults_last ? " from then on" : "",
            number, system_call_name(fault_call), what, carousel_last_error_message());
}

static void arm(void) {
    calls_until_fault = number;
    faults_armed = 1;
}

static int disarm(void) {
    faults_armed = 0;
    return calls_until_fault <= 0;
}

/* 0: the fault was not reached. */
static int try_to_save(void) {
    const int descriptors = count_entries("/proc/self/fd", 0);
    carousel_status status;
    uint64_t found;
    int reached;
    faults_armed = 0;
    if (save(old_network) != CAROUSEL_OK) say("the old file cannot be saved");
    arm();
    status = save(new_network);
    reached = disarm();
    saves++;
    checks_made++;
    refusals += status != CAROUSEL_OK;
    if (status != CAROUSEL_OK && *carousel_last_error_message() == 0) say("no message");
    if (load() != CAROUSEL_OK) {
        say("no whole file is there");
        return reached;
    }
    found = digest_of(read_into);
    if (found != new_digest && (status == CAROUSEL_OK || found != old_digest))
        say(status == CAROUSEL_OK ? "success, but not the new file" : "another file");
    if (count_entries(folder, 1) != 1 && !leftovers_allowed) say("something is left beside it");
    if (count_entries("/proc/self/fd", 0) != descriptors) say("a descriptor stays open");
    return reached;
}

static int try_to_load(void) {
    const int descriptors = count_entries("/proc/self/fd", 0);
    carousel_status status;
    int reached;
    close_fails = 0;
    arm();
    status = load();
    reached = disarm();
    close_fails = 1;
    loads++;
    checks_made++;
    refusals += status != CAROUSEL_OK;
    if (status == CAROUSEL_OK && digest_of(read_into) != new_digest) say("success, but wrong weights");
    if (status != CAROUSEL_OK && *carousel_last_error_message() == 0) say("no message");
    if (count_entries("/proc/self/fd", 0) != descriptors) say("a descriptor stays open");
    if (status != CAROUSEL_OK && load() != CAROUSEL_OK) say("and then it cannot be loaded any more");
    return reached;
}

static void make_layout_networks(void) {
    CAROUSEL_INIT(save_options);
    save_options.format = layouts[layout].format;
    save_options.compression = layouts[layout].compression;
    old_network = build_network(strcmp(layouts[layout].format, "onnx") == 0 ? 2 : 0);
    SUCCEEDS(carousel_network_copy(old_network, &new_network));
    SUCCEEDS(carousel_network_copy(old_network, &read_into));
    SUCCEEDS(carousel_network_initialize(new_network, 1234));
    old_digest = digest_of(old_network);
    new_digest = digest_of(new_network);
    CHECK(old_digest != new_digest);
}

static void run_layout_faults(int stride) {
    static const struct {
        int error;
        const char *name;
    } errors[] = {{EIO, "EIO"}, {ENOSPC, "ENOSPC"}, {EACCES, "EACCES"}, {EINTR, "EINTR"},
                  {FAULT_SHORT, "cut short"}};
    size_t e;
    int failed = checks_failed;
    saves = loads = refusals = 0;
    make_layout_networks();
    for (e = 0; e < sizeof errors / sizeof *errors; e++) {
        fault_error = errors[e].error;
        error_name = errors[e].name;
        for (faults_last = 0; faults_last < 2; faults_last++) {
            /* A call that is interrupted for ever is called for ever. */
            if (fault_error == EINTR && faults_last) continue;
            leftovers_allowed = faults_last; /* unlink fails, too */
            for (number = 1; try_to_save(); number += stride)
                if (checks_failed > failed + 20) return;
            leftovers_allowed = 0;
            if (save(new_network) != CAROUSEL_OK) say("cannot be saved any more");
            for (number = 1; try_to_load(); number += stride)
                if (checks_failed > failed + 20) return;
        }
    }
    printf("%-21s%s: %ld saves and %ld loads with a fault, %ld refused\n", layouts[layout].format,
           layouts[layout].compression ? " gzip" : "", saves, loads, refusals);
    carousel_network_free(old_network);
    carousel_network_free(new_network);
    carousel_network_free(read_into);
}

int main(int count, char **arguments) {
    static char own_folder[1024];
    const int stride = count > 2 ? atoi(arguments[2]) : 1;
    if (count < 2 || stride < 1) {
        fprintf(stderr, "usage: test-io-faults FOLDER [STRIDE]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    snprintf(own_folder, sizeof own_folder, "%s/io-faults", arguments[1]);
    mkdir(own_folder, 0777);
    prepare_scenarios(own_folder);
    on_failure = no_failure;
    carousel_set_threads(1);
    snprintf(path, sizeof path, "%s/model", folder);
    /* Opens libhdf5 and libzip. */
    for (layout = 0; layout < LAYOUTS; layout++) {
        make_layout_networks();
        SUCCEEDS(save(new_network));
        SUCCEEDS(load());
        carousel_network_free(old_network), carousel_network_free(new_network);
        carousel_network_free(read_into);
    }
    count_entries(folder, 1);
    if (install_system_call_faults()) {
        printf("skipped: no seccomp filter can be set here\n");
        return 0;
    }
    for (layout = 0; layout < LAYOUTS; layout++) run_layout_faults(stride);
    return finish();
}

#endif
