/* Everything at once, for ThreadSanitizer and for a busy machine: threads that run one network, stream it,
 * record tapes of it, save and load it (over one file, too), describe it, and train and build networks of their
 * own, while settings change. All numbers must be those of one thread.
 *
 *   test-stress FOLDER [ROUNDS] */
#include "harness.h"

#include <pthread.h>

enum { BATCH = 5, TIME = 6 };

static carousel_network *network;
static float input[BATCH * TIME * 3], expected[BATCH * TIME * 2];
static const char *folder;
static int rounds = 20;
static size_t wrong;

static void expect(int holds, const char *what) {
    if (holds) return;
    __atomic_add_fetch(&wrong, 1, __ATOMIC_RELAXED);
    fprintf(stderr, "%s: %s\n", what, carousel_last_error_message());
}

static void forward(int number) {
    float output[BATCH * TIME * 2];
    carousel_run_options options;
    carousel_array x = array_of(input, 3, BATCH, TIME, 3), y;
    y = array_of(output, 3, BATCH, TIME, 2);
    CAROUSEL_INIT(options);
    options.threads = 1 + number % 3;
    expect(!carousel_network_run(network, &x, 1, &y, 1, &options), "run");
    expect(!memcmp(output, expected, sizeof output), "run: the numbers");
}

static void stream(int number) {
    float output[BATCH * TIME * 2];
    carousel_stream *made = NULL, *copy = NULL;
    (void)number;
    expect(!carousel_stream_create(network, BATCH, &made), "stream");
    expect(!carousel_stream_copy(made, &copy), "copy");
    expect(!carousel_stream_steps(copy, input, TIME, output), "steps");
    expect(!memcmp(output, expected, sizeof output), "steps: the numbers");
    carousel_stream_free(made);
    expect(!carousel_stream_update_weights(copy), "update");
    carousel_stream_free(copy);
}

static void record(int number) {
    float output[BATCH * TIME * 2];
    carousel_array x = array_of(input, 3, BATCH, TIME, 3), y;
    carousel_tape *tape = NULL;
    (void)number;
    y = array_of(output, 3, BATCH, TIME, 2);
    expect(!carousel_network_record(network, &x, 1, NULL, &tape), "record");
    expect(!carousel_tape_get_output(tape, 0, &y), "output");
    expect(!memcmp(output, expected, sizeof output), "record: the numbers");
    expect(!carousel_tape_backward(tape, &y, 1, NULL, 0), "backward");
    carousel_tape_free(tape);
}

static void use_file(const char *path) {
    float output[BATCH * TIME * 2];
    carousel_network *loaded = NULL;
    expect(!carousel_network_save(network, path, NULL), "save");
    expect(!carousel_network_load(path, NULL, &loaded), "load");
    expect(!carousel_network_forward(loaded, input, BATCH, TIME, output, BATCH * TIME * 2), "loaded");
    expect(!memcmp(output, expected, sizeof output), "loaded: the numbers");
    carousel_network_free(loaded);
}

static void one_file(int number) {
    char path[1100];
    (void)number;
    snprintf(path, sizeof path, "%s/stress.h5", folder);
    use_file(path);
}

static void own_file(int number) {
    char path[1100];
    snprintf(path, sizeof path, "%s/stress%d.h5", folder, number);
    use_file(path);
    remove(path);
}

static void describe(int number) {
    char text[8192];
    size_t length;
    carousel_network *made = NULL;
    (void)number;
    expect(!carousel_network_summary(network, text, sizeof text, &length), "summary");
    expect(!carousel_network_to_json(network, text, sizeof text, &length), "to_json");
    expect(!carousel_network_from_json(text, CAROUSEL_FLOAT32, 42, &made), "from_json");
    carousel_network_free(made);
    expect(carousel_network_reset_states(made) == CAROUSEL_ERROR_INVALID_ARGUMENT, "freed");
    expect(strstr(carousel_last_error_message(), "freed") != NULL, "the message");
}

static void train(int number) {
    float targets[BATCH * TIME * 2] = {0};
    carousel_array x = array_of(input, 3, BATCH, TIME, 3), y;
    carousel_network *copy = NULL;
    carousel_trainer *trainer = NULL;
    carousel_training_data data;
    carousel_step_result result;
    static double loss;
    double known;
    (void)number;
    y = array_of(targets, 3, BATCH, TIME, 2);
    CAROUSEL_INIT(data);
    CAROUSEL_INIT(result);
    data.inputs = &x, data.input_count = 1;
    data.targets = &y, data.target_count = 1;
    expect(!carousel_network_copy(network, &copy), "copy");
    expect(!carousel_trainer_create(copy, NULL, &trainer), "trainer");
    expect(!carousel_trainer_step(trainer, &data, NULL), "step");
    expect(!carousel_trainer_step(trainer, &data, &result), "step");
    __atomic_load(&loss, &known, __ATOMIC_RELAXED);
    expect(known == 0 || known == result.loss, "the loss");
    __atomic_store(&loss, &result.loss, __ATOMIC_RELAXED);
    carousel_trainer_free(trainer);
    carousel_network_free(copy);
}

static void set(int number) {
    carousel_builder *builder = NULL;
    carousel_set_threads(1 + number % 4);
    expect(carousel_threads() >= 1, "threads");
    expect(!carousel_set_instruction_set(NULL), "instruction set");
    expect(!carousel_builder_create("x", &builder), "builder");
    carousel_builder_free(builder);
}

static void (*const works[])(int) = {forward, forward, stream, record, one_file, own_file,
                                     own_file, describe, train, train, set};
enum { THREADS = sizeof works / sizeof *works };

static void *work(void *argument) {
    const int number = (int)(size_t)argument;
    int round;
    for (round = 0; round < rounds; round++) works[number](number);
    return NULL;
}

int main(int count, char **arguments) {
    pthread_t threads[THREADS];
    char path[1100];
    size_t i;
    if (count < 2) return 2;
    folder = arguments[1];
    if (count > 2) rounds = atoi(arguments[2]);
    network = make_network(CAROUSEL_FLOAT32, 1);
    fill_randomly(input, sizeof input / sizeof *input, 5);
    SUCCEEDS(carousel_network_forward(network, input, BATCH, TIME, expected, BATCH * TIME * 2));
    for (i = 0; i < THREADS; i++) CHECK(!pthread_create(&threads[i], NULL, work, (void *)i));
    for (i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    CHECK(wrong == 0);
    carousel_network_free(network);
    snprintf(path, sizeof path, "%s/stress.h5", folder);
    remove(path);
    return finish();
}
