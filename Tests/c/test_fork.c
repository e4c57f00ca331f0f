/* fork: with threads of ours asleep, with other threads in the middle of computing, saving and making
 * handles. The child computes the same bits, uses threads, makes and frees handles, loads and saves; the
 * parent goes on as if nothing had happened. */
#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BATCH = 64, TIME = 20, FORKS = 40 };

static carousel_network *network;
static float input[BATCH * TIME * 3], expected[BATCH * TIME * 2];
static char path[1024];

static int computes(void) {
    static float output[BATCH * TIME * 2];
    carousel_run_options options;
    carousel_array x = array_of(input, 3, BATCH, TIME, 3), y;
    float *mine = malloc(sizeof output);
    int good;
    y = array_of(mine, 3, BATCH, TIME, 2);
    CAROUSEL_INIT(options);
    options.threads = 2;
    good = mine && carousel_network_run(network, &x, 1, &y, 1, &options) == CAROUSEL_OK &&
           memcmp(mine, expected, sizeof expected) == 0;
    free(mine);
    return good;
}

static int makes_handles(void) {
    carousel_stream *stream = NULL;
    carousel_network *copy = NULL;
    int good = carousel_stream_create(network, 1, &stream) == CAROUSEL_OK &&
               carousel_network_copy(network, &copy) == CAROUSEL_OK;
    carousel_stream_free(stream);
    carousel_network_free(copy);
    return good;
}

static int uses_files(const char *file) {
    carousel_network *loaded = NULL;
    int good = carousel_network_save(network, file, NULL) == CAROUSEL_OK &&
               carousel_network_load(file, NULL, &loaded) == CAROUSEL_OK;
    carousel_network_free(loaded);
    return good;
}

static volatile int is_over;
static volatile size_t wrong;

static void *compute(void *argument) {
    (void)argument;
    while (!is_over) wrong += !computes();
    return NULL;
}
static void *make_handles(void *argument) {
    (void)argument;
    while (!is_over) wrong += !makes_handles();
    return NULL;
}
static void *use_files(void *argument) {
    while (!is_over) wrong += !uses_files(argument);
    return NULL;
}

static void *child_handles(void *argument) {
    int i;
    size_t *bad = argument;
    for (i = 0; i < 200; i++) *bad += !makes_handles();
    return NULL;
}

/* What a child does, with threads of its own; killed if it hangs. */
static void child(int number) {
    pthread_t threads[2];
    size_t bad[2] = {0, 0};
    char file[1100];
    int i;
    alarm(60);
    snprintf(file, sizeof file, "%s.child%d", path, number);
    for (i = 0; i < 3; i++)
        if (!computes()) _exit(2);
    for (i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, child_handles, &bad[i])) _exit(3);
    for (i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    if (bad[0] || bad[1]) _exit(4);
    if (!uses_files(file)) _exit(5);
    remove(file);
    /* A grandchild: the child has used threads by now. */
    if (number == 0) {
        pid_t grandchild = fork();
        if (grandchild == 0) _exit(computes() ? 0 : 6);
        if (waitpid(grandchild, &i, 0) != grandchild || i != 0) _exit(7);
    }
    _exit(0);
}

static void fork_and_check(int number) {
    int status = -1;
    pid_t process;
    fflush(NULL);
    process = fork();
    if (process == 0) child(number);
    CHECK(process > 0 && waitpid(process, &status, 0) == process);
    if (status) fprintf(stderr, "child %d: %s %d\n", number, WIFSIGNALED(status) ? "signal" : "exit",
                        WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    CHECK(status == 0);
    CHECK(computes());
}

int main(int count, char **arguments) {
    pthread_t threads[3];
    int i;
    if (count < 2) return 2;
    snprintf(path, sizeof path, "%s/fork.h5", arguments[1]);
    network = make_network(CAROUSEL_FLOAT32, 1);
    fill_randomly(input, sizeof input / sizeof *input, 5);
    SUCCEEDS(carousel_network_forward(network, input, BATCH, TIME, expected, BATCH * TIME * 2));
    CHECK(computes());
    CHECK(uses_files(path));
    for (i = 0; i < 3; i++) fork_and_check(i);
    CHECK(!pthread_create(&threads[0], NULL, compute, NULL));
    CHECK(!pthread_create(&threads[1], NULL, make_handles, NULL));
    CHECK(!pthread_create(&threads[2], NULL, use_files, path));
    for (i = 0; i < FORKS; i++) fork_and_check(i);
    is_over = 1;
    for (i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    CHECK(wrong == 0);
    carousel_network_free(network);
    remove(path);
    return finish();
}
