/* How long a block of 64 samples takes, as an audio callback at 48 kHz would ask for it: one stream of
 * LSTM(H) -> Dense(1), 64 calls of carousel_stream_step, 20,000 blocks. The deadline is
 * 64 / 48,000 s = 1,333 us. Prints the distribution, for sound and for silence (where states die away
 * into denormal numbers), as lines of a Markdown table. The first line is the machine alone: a loop of
 * additions that takes as long; what it shows above its median is interrupts and other programs.
 *
 * usage: block_times [BLOCKS] */
#define _GNU_SOURCE
#include <carousel.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

enum { SAMPLES = 64, RATE = 48000 };

static double now(void) { /* microseconds */
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static void check(carousel_status status) {
    if (status == CAROUSEL_OK) return;
    fprintf(stderr, "%s\n", carousel_last_error_message());
    exit(1);
}

static carousel_stream *make_stream(int64_t units) {
    carousel_builder *builder = NULL;
    carousel_network *network = NULL;
    carousel_stream *stream = NULL;
    carousel_input_options input;
    carousel_lstm_options lstm;
    carousel_dense_options head;
    CAROUSEL_INIT(input);
    CAROUSEL_INIT(lstm);
    CAROUSEL_INIT(head);
    input.features = 1;
    input.time = -1;
    lstm.units = units;
    lstm.recurrent.return_sequences = 1;
    head.units = 1;
    check(carousel_builder_create(NULL, &builder));
    check(carousel_builder_add_input(builder, "input", &input));
    check(carousel_builder_add_lstm(builder, "lstm", &lstm));
    check(carousel_builder_add_dense(builder, "head", &head));
    check(carousel_builder_build(builder, CAROUSEL_FLOAT32, 1, &network));
    check(carousel_stream_create(network, 1, &stream));
    carousel_builder_free(builder);
    carousel_network_free(network);
    return stream;
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Linux stops a real-time thread that never rests for a twentieth of each second. */
static void rest(int block) {
    const struct timespec pause = {0, 200000};
    if (block % 16 == 0) nanosleep(&pause, NULL);
}

static void report(const char *units, const char *input, double *times, int blocks) {
    qsort(times, (size_t)blocks, sizeof *times, by_size);
    printf("| %s | %s | %.1f | %.1f | %.1f | %.1f | %.1f %% |\n", units, input, times[blocks / 2],
           times[blocks - 1 - blocks / 100], times[blocks - 1 - blocks / 1000], times[blocks - 1],
           100 * times[blocks - 1] / (1e6 * SAMPLES / RATE));
    fflush(stdout);
}

static void measure_machine(double *times, int blocks) {
    volatile float sum = 0;
    int block, i;
    for (block = 0; block < blocks; block++) {
        double begun = now();
        for (i = 0; i < 10000; i++) sum += 1;
        times[block] = now() - begun;
        rest(block);
    }
    report("none", "none", times, blocks);
}

static void measure(int64_t units, int is_silent, double *times, int blocks) {
    carousel_stream *stream = make_stream(units);
    float input[SAMPLES], output[SAMPLES];
    uint32_t random = 1;
    char text[24];
    int block, i;
    for (block = -100; block < blocks; block++) { /* the first hundred warm up */
        double begun;
        for (i = 0; i < SAMPLES; i++) {
            random = random * 1664525u + 1013904223u;
            input[i] = is_silent && block > -50 ? 0 : (float)(int32_t)random / 2147483648.0f;
        }
        begun = now();
        for (i = 0; i < SAMPLES; i++) carousel_stream_step(stream, &input[i], &output[i]);
        if (block >= 0) times[block] = now() - begun;
        rest(block);
    }
    carousel_stream_free(stream);
    snprintf(text, sizeof text, "%d", (int)units);
    report(text, is_silent ? "silence" : "sound", times, blocks);
}

int main(int argc, char **argv) {
    static const int64_t units[] = {8, 16, 24, 32, 40, 48, 56, 64};
    int blocks = argc > 1 ? atoi(argv[1]) : 20000;
    double *times;
    cpu_set_t one;
    size_t i;
    if (blocks < 1000) blocks = 1000;
    times = calloc((size_t)blocks, sizeof *times);
    if (!times) return 1;
    struct sched_param priority;
    /* As a host's audio thread would: one processor, before others, no page to be fetched. */
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
    mlockall(MCL_CURRENT | MCL_FUTURE);
    memset(&priority, 0, sizeof priority);
    priority.sched_priority = 10;
    printf("%d blocks of %d samples, deadline %.0f us, %s, %s\n\n", blocks, SAMPLES,
           1e6 * SAMPLES / RATE, carousel_instruction_set(),
           sched_setscheduler(0, SCHED_FIFO, &priority) ? "ordinary priority" : "SCHED_FIFO");
    printf("| H | input | p50, us | p99 | p99.9 | max | max / deadline |\n"
           "|---|---|---:|---:|---:|---:|---:|\n");
    measure_machine(times, blocks);
    for (i = 0; i < sizeof units / sizeof *units; i++) {
        measure(units[i], 0, times, blocks);
        measure(units[i], 1, times, blocks);
    }
    free(times);
    return 0;
}
