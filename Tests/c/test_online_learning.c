/* Learning while running: a stateful network that is trained with each step as it comes, which has to be the same
 * as with all of them at once; and the callback that hears the gradients. */
#include "harness.h"

enum { TIME = 12, IN = 3, UNITS = 4, OUT = 2 };

static float x[TIME * IN], y[TIME * OUT];

/* input -> LSTM of 1997 (no forget gate, truncated gradient, stateful) -> Dense at every step. */
static carousel_network *make_learner(void) {
    carousel_builder *builder = NULL;
    carousel_network *network = NULL;
    carousel_input_options input;
    carousel_lstm_options lstm;
    carousel_dense_options head;
    CAROUSEL_INIT(input);
    CAROUSEL_INIT(lstm);
    CAROUSEL_INIT(head);
    input.features = IN;
    input.time = -1;
    lstm.units = UNITS;
    lstm.no_forget_gate = 1;
    lstm.truncate_gates = 1;
    lstm.recurrent.return_sequences = 1;
    lstm.recurrent.stateful = 1;
    head.units = OUT;
    SUCCEEDS(carousel_builder_create("online", &builder));
    SUCCEEDS(carousel_builder_add_input(builder, "input", &input));
    SUCCEEDS(carousel_builder_add_lstm(builder, "cell", &lstm));
    SUCCEEDS(carousel_builder_add_dense(builder, "head", &head));
    SUCCEEDS(carousel_builder_build(builder, CAROUSEL_FLOAT32, 42, &network));
    carousel_builder_free(builder);
    if (!network) exit(1);
    return network;
}

static carousel_trainer *make_trainer(carousel_network *network) {
    carousel_trainer *trainer = NULL;
    carousel_trainer_options options;
    CAROUSEL_INIT(options);
    options.optimizer.kind = CAROUSEL_OPTIMIZER_SGD;
    options.optimizer.learning_rate = 0.1;
    options.truncate_every = 1;
    options.eligibility_traces = 1;
    SUCCEEDS(carousel_trainer_create(network, &options, &trainer));
    if (!trainer) exit(1);
    return trainer;
}

static carousel_status learn(carousel_trainer *trainer, int first, int count) {
    carousel_training_data data;
    carousel_array in = array_of(x + first * IN, 3, 1, count, IN);
    carousel_array out = array_of(y + first * OUT, 3, 1, count, OUT);
    CAROUSEL_INIT(data);
    data.inputs = &in, data.input_count = 1;
    data.targets = &out, data.target_count = 1;
    return carousel_trainer_step(trainer, &data, NULL);
}

static const float *parameters(carousel_network *network, size_t *size) {
    void *data = NULL;
    SUCCEEDS(carousel_network_get_parameter_buffer(network, &data, size));
    return data;
}

struct listener {
    int heard, last;
    size_t size;
};

/* Forgets all gradients but the first, and stops after `last` updates. */
static int32_t listen(void *gradients, size_t size, void *context) {
    struct listener *listener = context;
    listener->size = size;
    memset((char *)gradients + sizeof(float), 0, size - sizeof(float));
    return ++listener->heard > listener->last;
}

int main(void) {
    carousel_network *once = make_learner(), *step_by_step = make_learner();
    carousel_trainer *first = make_trainer(once), *second = make_trainer(step_by_step);
    struct listener listener = {0, 5, 0};
    const float *values;
    float kept[512];
    size_t size = 0, i, changed = 0;
    int t;

    fill_randomly(x, TIME * IN, 1);
    fill_randomly(y, TIME * OUT, 2);
    SUCCEEDS(learn(first, 0, TIME));
    for (t = 0; t < TIME; t++) SUCCEEDS(learn(second, t, 1));
    values = parameters(once, &size);
    CHECK(size <= sizeof kept);
    CHECK(memcmp(values, parameters(step_by_step, &size), size) == 0);

    memcpy(kept, values, size);
    SUCCEEDS(carousel_trainer_set_gradient_callback(first, listen, &listener));
    FAILS(learn(first, 0, TIME), CAROUSEL_ERROR_INTERRUPTED, "gradient callback");
    CHECK(listener.heard == 6);
    CHECK(listener.size == size);
    for (i = 0; i < size / sizeof *kept; i++) changed += kept[i] != values[i];
    CHECK(changed == 1 && kept[0] != values[0]);
    memcpy(kept, values, size);
    FAILS(learn(first, 0, 1), CAROUSEL_ERROR_INTERRUPTED, "gradient callback");
    CHECK(memcmp(kept, values, size) == 0);
    SUCCEEDS(carousel_trainer_set_gradient_callback(first, NULL, NULL));
    SUCCEEDS(learn(first, 0, TIME));

    carousel_trainer_free(first);
    carousel_trainer_free(second);
    carousel_network_free(once);
    carousel_network_free(step_by_step);
    return finish();
}
