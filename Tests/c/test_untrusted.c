/* Untrusted loads from C: the same network, and a host that is left as it was. */
#include "harness.h"

#include <signal.h>
#include <sys/wait.h>
#include <errno.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED
#endif
#endif

static volatile sig_atomic_t children;
static void count_child(int number) {
    (void)number;
    children++;
}

static void check_same(const carousel_network *a, const carousel_network *b) {
    void *one = NULL, *other = NULL;
    size_t size = 0, size_again = 0;
    SUCCEEDS(carousel_network_get_parameter_buffer(a, &one, &size));
    SUCCEEDS(carousel_network_get_parameter_buffer(b, &other, &size_again));
    CHECK(size > 0 && size == size_again && memcmp(one, other, size) == 0);
}

static void check_formats(const char *path) {
    static const char *const formats[] = {"carousel", "keras-h5", "keras"};
    carousel_load_options load;
    carousel_weights_options weights;
    carousel_save_options save;
    size_t i;
    CAROUSEL_INIT(load);
    CAROUSEL_INIT(weights);
    CAROUSEL_INIT(save);
    load.untrusted = weights.untrusted = 1;
    for (i = 0; i < sizeof formats / sizeof *formats; i++) {
        /* Keras knows no peepholes; its layouts get a network without them. */
        carousel_network *network = i ? NULL : make_network(CAROUSEL_FLOAT32, 1), *loaded = NULL;
        static const char json[] =
            "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"s\", \"layers\": ["
            "{\"class_name\": \"LSTM\", \"config\": {\"name\": \"lstm\", \"units\": 4,"
            " \"batch_input_shape\": [null, null, 3]}}]}, \"keras_version\": \"2.15.0\"}";
        if (!network) SUCCEEDS(carousel_network_from_json(json, CAROUSEL_FLOAT32, 7, &network));
        save.format = formats[i];
        SUCCEEDS(carousel_network_save(network, path, &save));
        SUCCEEDS(carousel_network_load(path, &load, &loaded));
        check_same(network, loaded);
        SUCCEEDS(carousel_network_initialize(loaded, 99));
        SUCCEEDS(carousel_network_load_weights(loaded, path, &weights));
        check_same(network, loaded);
        carousel_network_free(network);
        carousel_network_free(loaded);
    }
}

static void check_inspection(const char *path) {
    static char here[1 << 16], there[1 << 16];
    carousel_load_options load;
    CAROUSEL_INIT(load);
    SUCCEEDS(carousel_inspect(path, &load, here, sizeof here, NULL));
    load.untrusted = 1;
    SUCCEEDS(carousel_inspect(path, &load, there, sizeof there, NULL));
    CHECK(strlen(here) > 100 && strcmp(here, there) == 0);
}

/* A header of 1.0 before these fields existed. */
static void check_old_struct(const char *path) {
    struct {
        carousel_load_options options;
        unsigned char behind[64];
    } old;
    carousel_network *network = NULL;
    memset(&old, 0xff, sizeof old);
    CAROUSEL_INIT(old.options);
    memset((char *)&old + 40, 0xff, sizeof old - 40);
    old.options.struct_size = 40;
    SUCCEEDS(carousel_network_load(path, &old.options, &network));
    carousel_network_free(network);
}

static void check_limits(const char *path) {
    carousel_load_options load;
    carousel_network *network = NULL;
    CAROUSEL_INIT(load);
    load.untrusted = 1;
#ifndef IS_SANITIZED /* their shadow memory knows no limit */
    load.untrusted_memory = 1 << 20; /* not even the program fits */
    CHECK(carousel_network_load(path, &load, &network) != CAROUSEL_OK && network == NULL);
#endif
    load.untrusted_memory = 0;
    load.largest_file = 10;
    FAILS(carousel_network_load(path, &load, &network), CAROUSEL_ERROR_LIMIT, "limit is 10");
    load.largest_file = 0;
    FAILS(carousel_network_load("no/such/file", &load, &network), CAROUSEL_ERROR_NOT_FOUND, "no/such");
}

int main(int argc, char **argv) {
    char path[1024];
    if (argc != 2) return 2;
    snprintf(path, sizeof path, "%s/untrusted.h5", argv[1]);
    signal(SIGCHLD, count_child);
    check_formats(path);
    check_inspection(path);
    check_limits(path);
    /* One signal at least for the readers, no child left. */
    CHECK(children > 0);
    errno = 0;
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    check_old_struct(path);
    remove(path);
    return finish();
}
