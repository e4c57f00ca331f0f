/* fork by a thread that is inside a call of the library at that moment, wherever it is: this program's
 * allocator, which stands before the C library's, forks at one allocation after the other of saving, loading,
 * making handles and running, while another thread makes handles. Both sides then finish the call, and do
 * all of it once more. A lock that waits for its own holder would hang: an alarm ends that. */
#define _GNU_SOURCE
#include "harness.h"
#include "process_memory.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>


/* Allocations of the main thread until the fork; 0: none is wanted. */
static volatile long countdown;
static pthread_t main_thread;
static pid_t child = -1;

void *malloc(size_t size) {
    if (countdown > 0 && pthread_equal(pthread_self(), main_thread) && --countdown == 0) {
        child = fork();
        if (child == 0) alarm(60);
    }
    return __libc_malloc(size);
}

enum { BATCH = 3, TIME = 5 };
static carousel_network *network;
static float input[BATCH * TIME * 3], expected[BATCH * TIME * 2];

/* 0, or which step failed. */
static int do_everything(const char *path) {
    float output[BATCH * TIME * 2];
    carousel_network *loaded = NULL;
    carousel_stream *stream = NULL;
    int failed = 0;
    if (carousel_network_save(network, path, NULL)) failed = 1;
    if (!failed && carousel_network_load(path, NULL, &loaded)) failed = 2;
    if (!failed && carousel_network_forward(loaded, input, BATCH, TIME, output, BATCH * TIME * 2))
        failed = 3;
    if (!failed && memcmp(output, expected, sizeof expected)) failed = 4;
    if (!failed && carousel_stream_create(loaded, 1, &stream)) failed = 5;
    carousel_stream_free(stream);
    carousel_network_free(loaded);
    if (failed) fprintf(stderr, "step %d: %s\n", failed, carousel_last_error_message());
    return failed;
}

/* With a fork at an allocation; 0 if there are fewer. */
static int fork_at(long allocation, const char *path, const char *child_path) {
    int failed, status = -1;
    child = -1;
    countdown = allocation;
    failed = do_everything(path);
    if (child == -1) {
        countdown = 0;
        CHECK(failed == 0);
        return 0;
    }
    if (child == 0) {
        if (!failed) failed = do_everything(child_path);
        remove(child_path);
        _exit(failed);
    }
    CHECK(failed == 0);
    CHECK(do_everything(path) == 0);
    CHECK(waitpid(child, &status, 0) == child);
    if (status)
        fprintf(stderr, "fork at allocation %ld: %s %d\n", allocation,
                WIFSIGNALED(status) ? "signal" : "exit",
                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    CHECK(status == 0);
    return 1;
}

static volatile int is_over;

static void *make_handles(void *argument) {
    (void)argument;
    while (!is_over) {
        carousel_builder *builder = NULL;
        carousel_builder_create(NULL, &builder);
        carousel_builder_free(builder);
    }
    return NULL;
}

int main(int count, char **arguments) {
    char path[1024], child_path[1024];
    pthread_t thread;
    long allocation, forks = 0;
    if (count < 2) return 2;
    snprintf(path, sizeof path, "%s/fork_inside.h5", arguments[1]);
    snprintf(child_path, sizeof child_path, "%s/fork_inside.child.h5", arguments[1]);
    main_thread = pthread_self();
    alarm(240);
    carousel_set_threads(1);
    network = make_network(CAROUSEL_FLOAT32, 1);
    fill_randomly(input, sizeof input / sizeof *input, 5);
    SUCCEEDS(carousel_network_forward(network, input, BATCH, TIME, expected, BATCH * TIME * 2));
    /* The first time opens libhdf5, with forks inside the dynamic linker. */
    for (allocation = 1; fork_at(allocation, path, child_path); allocation += 1 + allocation / 16)
        forks++;
    CHECK(pthread_create(&thread, NULL, make_handles, NULL) == 0);
    for (allocation = 1; fork_at(allocation, path, child_path); allocation += 1 + allocation / 16)
        forks++;
    is_over = 1;
    pthread_join(thread, NULL);
    printf("%ld forks\n", forks);
    CHECK(forks > 100);
    carousel_network_free(network);
    remove(path);
    return finish();
}
