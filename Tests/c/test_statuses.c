/* Every status of the header is produced by a call. A status that is added to the list without a call here
 * fails the test. */
#define _GNU_SOURCE
#include "harness.h"

#include <sys/wait.h>
#include <unistd.h>

static carousel_network *network;
static const char *folder;
static float input[2 * 3 * 3], output[2 * 2];
static carousel_array x, y;

static const char *path_of(const char *name) {
    static char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static carousel_status with_garbage(void) {
    carousel_network *loaded = NULL;
    const char *path = path_of("garbage.h5");
    FILE *file = fopen(path, "wb");
    carousel_status status;
    if (!file) return CAROUSEL_OK;
    fputs("\x89HDF\r\n\x1a\n and then something else", file);
    fclose(file);
    status = carousel_network_load(path, NULL, &loaded);
    remove(path);
    return status;
}

static carousel_status with_a_wide_network(void) {
    carousel_builder *builder = NULL;
    carousel_network *wide = NULL;
    carousel_input_options in;
    carousel_dense_options dense;
    carousel_status status;
    CAROUSEL_INIT(in);
    CAROUSEL_INIT(dense);
    in.features = INT32_MAX;
    dense.units = INT32_MAX;
    carousel_builder_create(NULL, &builder);
    carousel_builder_add_input(builder, "input", &in);
    status = carousel_builder_add_dense(builder, "dense", &dense);
    if (status == CAROUSEL_OK) status = carousel_builder_build(builder, CAROUSEL_FLOAT32, 0, &wide);
    carousel_builder_free(builder);
    carousel_network_free(wide);
    return status;
}

static carousel_status without_input(void) {
    carousel_builder *builder = NULL;
    carousel_status status;
    SUCCEEDS(carousel_builder_create(NULL, &builder));
    status = carousel_builder_add_flatten(builder, "flat");
    carousel_builder_free(builder);
    return status;
}

static carousel_status in_keras_words(void) {
    carousel_save_options options;
    CAROUSEL_INIT(options);
    options.format = "keras-h5"; /* which has no peepholes */
    return carousel_network_save(network, path_of("peepholes.h5"), &options);
}

static int32_t stop(const carousel_fit_event *event, void *context) {
    (void)event, (void)context;
    return 1;
}

static carousel_status train(int is_stopped) {
    carousel_network *copy = NULL;
    carousel_trainer *trainer = NULL;
    carousel_training_data data;
    carousel_fit_options fit;
    carousel_status status;
    CAROUSEL_INIT(data);
    CAROUSEL_INIT(fit);
    data.inputs = &x, data.input_count = 1;
    data.targets = &y, data.target_count = 1;
    fit.callback = stop;
    SUCCEEDS(carousel_network_copy(network, &copy));
    SUCCEEDS(carousel_trainer_create(copy, NULL, &trainer));
    if (!is_stopped) {
        output[0] = NAN;
        status = carousel_trainer_step(trainer, &data, NULL);
        output[0] = 0;
    } else {
        status = carousel_trainer_fit(trainer, &data, NULL, &fit);
    }
    carousel_trainer_free(trainer);
    carousel_network_free(copy);
    return status;
}

/* In a process that has not yet opened libhdf5. */
static carousel_status without_hdf5(void) {
    int status = 0;
    pid_t child;
    fflush(NULL);
    child = fork();
    if (child == 0) {
        setenv("CAROUSEL_HDF5", "/nowhere/libhdf5.so", 1);
        _exit((int)carousel_network_save(network, path_of("none.h5"), NULL));
    }
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? (carousel_status)WEXITSTATUS(status) : CAROUSEL_OK;
}

static carousel_status produce(carousel_status status) {
    char small[4];
    carousel_layer_info info;
    CAROUSEL_INIT(info);
    switch (status) {
    case CAROUSEL_OK: return carousel_network_reset_states(network);
    case CAROUSEL_ERROR_INVALID_ARGUMENT: return carousel_network_reset_states(NULL);
    case CAROUSEL_ERROR_SHAPE: return carousel_network_forward(network, input, 2, 3, output, 3);
    case CAROUSEL_ERROR_OUT_OF_MEMORY: return with_a_wide_network();
    case CAROUSEL_ERROR_UNSUPPORTED: return in_keras_words();
    case CAROUSEL_ERROR_FORMAT: return with_garbage();
    case CAROUSEL_ERROR_IO: return carousel_network_save(network, path_of("no/such/f.h5"), NULL);
    case CAROUSEL_ERROR_NOT_FOUND: return carousel_network_get_layer(network, 99, &info);
    case CAROUSEL_ERROR_NUMERIC: return train(0);
    case CAROUSEL_ERROR_STATE: return without_input();
    case CAROUSEL_ERROR_INTERRUPTED: return train(1);
    case CAROUSEL_ERROR_LIBRARY: return without_hdf5();
    case CAROUSEL_ERROR_LIMIT: return carousel_network_summary(network, small, 4, NULL);
    }
    return (carousel_status)-1;
}

int main(int count, char **arguments) {
#define VALUE(name, value, description) name,
    static const carousel_status all[] = {CAROUSEL_STATUS_LIST(VALUE)};
    size_t i;
    if (count < 2) return 2;
    folder = arguments[1];
    network = make_network(CAROUSEL_FLOAT32, 0);
    x = array_of(input, 3, 2, 3, 3);
    y = array_of(output, 2, 2, 2, 0);
    /* First of all: once opened, libhdf5 stays. */
    CHECK(produce(CAROUSEL_ERROR_LIBRARY) == CAROUSEL_ERROR_LIBRARY);
    for (i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i] == CAROUSEL_ERROR_LIBRARY) continue;
        if (produce(all[i]) != all[i]) {
            fprintf(stderr, "no call gives %s: %s\n", carousel_status_name(all[i]),
                    carousel_last_error_message());
            CHECK(!"every status is produced");
        }
    }
    carousel_network_free(network);
    return finish();
}
