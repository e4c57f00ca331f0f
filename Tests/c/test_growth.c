/* Nothing grows: after making and freeing everything, and loading, running and freeing a network, 10^5
 * times each (or as often as the argument says), as many allocations are alive and as much memory is
 * in use as before; and a stream of 10^6 steps, taken in chunks of every size, gives the
 * bits of one call on the whole sequence, without growing.
 *
 *   test-growth FOLDER [ROUNDS] */
#define _GNU_SOURCE
#include "harness.h"
#include "process_memory.h"

#include <stdint.h>
#include <unistd.h>

static long live;

static void *counted(void *memory) {
    if (memory) __atomic_add_fetch(&live, 1, __ATOMIC_RELAXED);
    return memory;
}
void *malloc(size_t size) { return counted(__libc_malloc(size)); }
void *calloc(size_t count, size_t size) { return counted(__libc_calloc(count, size)); }
void *realloc(void *memory, size_t size) {
    void *larger = __libc_realloc(memory, size);
    return memory ? larger : counted(larger);
}
void *aligned_alloc(size_t alignment, size_t size) {
    return counted(__libc_memalign(alignment, size));
}
int posix_memalign(void **memory, size_t alignment, size_t size) {
    *memory = counted(__libc_memalign(alignment, size));
    return *memory ? 0 : 12;
}
void free(void *memory) {
    if (memory) __atomic_sub_fetch(&live, 1, __ATOMIC_RELAXED);
    __libc_free(memory);
}

static void make_and_free_everything(carousel_network *network) {
    float input[2 * 3 * 3] = {0}, output[2 * 2];
    carousel_array x = array_of(input, 3, 2, 3, 3), y = array_of(output, 2, 2, 2, 0);
    carousel_builder *builder = NULL;
    carousel_input_options options;
    carousel_network *copy = NULL;
    carousel_stream *stream = NULL;
    carousel_tape *tape = NULL;
    carousel_trainer *trainer = NULL;
    int code = 0;
    CAROUSEL_INIT(options);
    options.features = 3, options.time = -1;
    code |= carousel_builder_create("n", &builder);
    code |= carousel_builder_add_input(builder, "input", &options);
    code |= carousel_network_copy(network, &copy);
    code |= carousel_network_forward(copy, input, 2, 3, output, 4);
    code |= carousel_stream_create(copy, 2, &stream);
    code |= carousel_network_record(copy, &x, 1, NULL, &tape);
    code |= carousel_tape_backward(tape, &y, 1, NULL, 0);
    code |= carousel_trainer_create(copy, NULL, &trainer);
    if (code) CHECK(!"everything can be made");
    /* An error makes a message. */
    if (carousel_network_forward(copy, input, 2, 3, output, 5) != CAROUSEL_ERROR_SHAPE) CHECK(!"");
    carousel_network_free(copy);
    carousel_trainer_free(trainer);
    carousel_tape_free(tape);
    carousel_stream_free(stream);
    carousel_builder_free(builder);
}

static char path[1024];

static void load_and_run(carousel_network *network) {
    float input[2 * 3 * 3] = {0}, output[2 * 2];
    carousel_network *loaded = NULL;
    (void)network;
    if (carousel_network_load(path, NULL, &loaded) ||
        carousel_network_forward(loaded, input, 2, 3, output, 4))
        CHECK(!"the file can be loaded and run");
    carousel_network_free(loaded);
}

static void test_rounds(
    const char *what, void (*round)(carousel_network *), carousel_network *network, long rounds) {
    long i, before, after, pages;
    /* More than the queue of freed handles holds. */
    for (i = 0; i < 5000; i++) round(network);
    before = live;
    pages = resident();
    for (i = 0; i < rounds; i++) round(network);
    after = live;
    pages = resident() - pages;
    printf("%s, %ld rounds: %ld allocations and %ld pages more\n", what, rounds, after - before,
           pages);
    CHECK(after == before);
    CHECK(pages <= 64);
}

static void test_long_stream(int64_t steps) {
    carousel_network *network = make_network(CAROUSEL_FLOAT32, 1);
    carousel_stream *stream = NULL;
    float *input = malloc((size_t)steps * 3 * sizeof(float));
    float *expected = malloc((size_t)steps * 2 * sizeof(float));
    float *output = malloc((size_t)steps * 2 * sizeof(float));
    int64_t done = 0, chunk = 1, largest = 0;
    long before, after;
    if (!input || !expected || !output) exit(1);
    fill_randomly(input, (size_t)steps * 3, 1);
    SUCCEEDS(carousel_network_forward(network, input, 1, steps, expected, (size_t)steps * 2));
    SUCCEEDS(carousel_stream_create(network, 1, &stream));
    SUCCEEDS(carousel_stream_steps(stream, input, 1, output));
    SUCCEEDS(carousel_stream_reset(stream));
    before = live;
    for (; done < steps; done += chunk, chunk++) {
        if (chunk > steps - done) chunk = steps - done;
        if (chunk > largest) largest = chunk;
        if (carousel_stream_steps(stream, input + 3 * done, chunk, output + 2 * done)) break;
    }
    after = live;
    printf("%ld steps in chunks of 1 to %ld\n", (long)done, (long)largest);
    CHECK(done == steps);
    CHECK(after == before);
    CHECK(memcmp(output, expected, (size_t)steps * 2 * sizeof(float)) == 0);
    carousel_stream_free(stream);
    carousel_network_free(network);
    free(input), free(expected), free(output);
}

int main(int count, char **arguments) {
    const long rounds = count > 2 ? atol(arguments[2]) : 100000;
    carousel_network *network = make_network(CAROUSEL_FLOAT32, 0);
    if (count < 2) return 2;
    snprintf(path, sizeof path, "%s/growth.h5", arguments[1]);
    SUCCEEDS(carousel_network_save(network, path, NULL));
    carousel_set_threads(1);
    setvbuf(stdout, NULL, _IOLBF, 0);
    test_rounds("make and free", make_and_free_everything, network, rounds);
    test_rounds("load, run, free", load_and_run, network, rounds);
    test_long_stream(1000000);
    carousel_network_free(network);
    remove(path);
    return finish();
}
