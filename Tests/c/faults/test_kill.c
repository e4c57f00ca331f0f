/* kill -9 while saving. A child saves two networks over one file, in turns, for ever; it is killed at a
 * random moment, and the file must be one of the two, whole. What is left beside it is a temporary file
 * that no reader takes for a model's name.
 *
 *   test-kill FOLDER [KILLS] */
#define _GNU_SOURCE
#include "scenarios.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void no_failure(carousel_status status, const char *call) {
    (void)status;
    fprintf(stderr, "%s: %s\n", call, carousel_last_error_message());
}

static void sleep_for(long nanoseconds) {
    struct timespec time;
    time.tv_sec = nanoseconds / 1000000000L;
    time.tv_nsec = nanoseconds % 1000000000L;
    nanosleep(&time, NULL);
}

/* Nanoseconds that a save takes, sync and all. */
static long time_of_save(const carousel_network *network, const char *path) {
    struct timespec before, after;
    int i;
    clock_gettime(CLOCK_MONOTONIC, &before);
    for (i = 0; i < 8; i++) SUCCEEDS(carousel_network_save(network, path, NULL));
    clock_gettime(CLOCK_MONOTONIC, &after);
    return ((after.tv_sec - before.tv_sec) * 1000000000L + after.tv_nsec - before.tv_nsec) / 8;
}

/* Names beside the file; temporary ones are removed. */
static int remove_temporaries(const char *directory, int *others) {
    DIR *stream = opendir(directory);
    struct dirent *entry;
    int found = 0;
    while (stream && (entry = readdir(stream))) {
        char file[2048];
        if (strncmp(entry->d_name, ".carousel-", 10) == 0) {
            snprintf(file, sizeof file, "%s/%s", directory, entry->d_name);
            found++;
            unlink(file);
        } else if (entry->d_name[0] != '.' && strcmp(entry->d_name, "model")) {
            ++*others;
        }
    }
    if (stream) closedir(stream);
    return found;
}

int main(int count, char **arguments) {
    static const char *const formats[] = {"carousel", "keras-h5", "keras", "torch"};
    static char own_folder[1024], path[1100];
    const int kills = count > 2 ? atoi(arguments[2]) : 100;
    carousel_network *networks[2], *loaded = NULL;
    uint64_t digests[2];
    uint32_t seed = 17;
    long duration;
    int i, seen[2] = {0, 0}, temporaries = 0, others = 0, broken = 0;
    if (count < 2) {
        fprintf(stderr, "usage: test-kill FOLDER [KILLS]\n");
        return 2;
    }
    snprintf(own_folder, sizeof own_folder, "%s/kill", arguments[1]);
    snprintf(path, sizeof path, "%s/model", own_folder);
    mkdir(own_folder, 0777);
    prepare_scenarios(own_folder);
    on_failure = no_failure;
    networks[0] = build_network(0);
    SUCCEEDS(carousel_network_copy(networks[0], &networks[1]));
    SUCCEEDS(carousel_network_initialize(networks[1], 5));
    for (i = 0; i < 2; i++) digest = 1, add_parameters(networks[i]), digests[i] = digest;
    duration = time_of_save(networks[0], path);
    /* On, where a busy machine makes most of the moments fall between two saves. */
    for (i = 0; (i < kills || temporaries <= kills / 10) && i < 10 * kills && broken < 10; i++) {
        carousel_save_options options;
        pid_t child;
        int status, which;
        CAROUSEL_INIT(options);
        options.format = formats[i % 4];
        fflush(NULL);
        child = fork();
        if (child == 0) {
            for (which = 0;; which = !which)
                if (carousel_network_save(networks[which], path, &options)) _exit(1);
        }
        sleep_for((long)((random_number(&seed) + 1) * 1.5f * (float)duration));
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        if (!WIFSIGNALED(status)) broken++;
        /* The last whole file may be of the layout before: that is recognised by content. */
        if (carousel_network_load(path, NULL, &loaded)) {
            carousel_weights_options weights;
            CAROUSEL_INIT(weights);
            SUCCEEDS(carousel_network_copy(networks[0], &loaded));
            SUCCEEDS(carousel_network_initialize(loaded, 6));
            SUCCEEDS(carousel_network_load_weights(loaded, path, &weights));
        }
        digest = 1;
        add_parameters(loaded);
        carousel_network_free(loaded);
        if (digest == digests[0]) seen[0]++;
        else if (digest == digests[1]) seen[1]++;
        else broken++;
        temporaries += remove_temporaries(own_folder, &others);
    }
    printf("%d kills: %d times the one file, %d times the other, %d broken; %d temporary files left\n",
           i, seen[0], seen[1], broken, temporaries);
    CHECK(broken == 0);
    CHECK(others == 0);
    CHECK(seen[0] + seen[1] == i);
    /* The moments were in the midst of it. */
    CHECK(seen[0] > 0 && seen[1] > 0);
    CHECK(kills < 100 || temporaries > kills / 10);
    carousel_network_free(networks[0]);
    carousel_network_free(networks[1]);
    return finish();
}
