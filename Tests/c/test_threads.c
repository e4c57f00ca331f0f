/* Several threads run one network, each with a stream of its own, and all get the same numbers. */
#include "harness.h"

#include <pthread.h>

enum { THREADS = 4, ROUNDS = 40, BATCH = 2, TIME = 9 };

static carousel_network *network;
static float x[BATCH * TIME * 3], expected[BATCH * TIME * 2];

static void *work(void *argument) {
    float y[BATCH * TIME * 2];
    size_t *wrong = argument;
    int round;
    for (round = 0; round < ROUNDS; round++) {
        carousel_stream *stream = NULL;
        memset(y, 0, sizeof y);
        if (carousel_network_forward(network, x, BATCH, TIME, y, BATCH * TIME * 2)) ++*wrong;
        if (memcmp(y, expected, sizeof y)) ++*wrong;
        memset(y, 0, sizeof y);
        if (carousel_stream_create(network, BATCH, &stream)) ++*wrong;
        if (carousel_stream_steps(stream, x, TIME, y)) ++*wrong;
        if (memcmp(y, expected, sizeof y)) ++*wrong;
        carousel_stream_free(stream);
        /* Failures of one thread are not seen by another. */
        if (carousel_stream_reset(stream) != CAROUSEL_ERROR_INVALID_ARGUMENT) ++*wrong;
        if (!strstr(carousel_last_error_message(), "freed before")) ++*wrong;
    }
    return NULL;
}

int main(void) {
    pthread_t threads[THREADS];
    size_t wrong[THREADS] = {0};
    int i;
    network = make_network(CAROUSEL_FLOAT32, 1);
    fill_randomly(x, sizeof x / sizeof *x, 5);
    SUCCEEDS(carousel_network_forward(network, x, BATCH, TIME, expected, BATCH * TIME * 2));
    for (i = 0; i < THREADS; i++) CHECK(!pthread_create(&threads[i], NULL, work, &wrong[i]));
    for (i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        CHECK(wrong[i] == 0);
    }
    carousel_network_free(network);
    return finish();
}
