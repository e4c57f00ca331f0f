/* Statuses, messages, versions, text buffers, handles, and structs of other versions. */
#include "harness.h"

#include <pthread.h>

static void test_versions(void) {
    char text[32];
    CHECK(carousel_version_number() == CAROUSEL_VERSION_NUMBER);
    CHECK(strcmp(carousel_version_string(), CAROUSEL_VERSION_STRING) == 0);
    snprintf(text, sizeof text, "%d.%d.%d", CAROUSEL_VERSION_MAJOR, CAROUSEL_VERSION_MINOR,
             CAROUSEL_VERSION_PATCH);
    CHECK(strcmp(text, CAROUSEL_VERSION_STRING) == 0);
}

static void test_statuses(void) {
#define ENTRY(name, value, description)                                            \
    CHECK(strcmp(carousel_status_name((carousel_status)(value)), #name) == 0);     \
    CHECK(strcmp(carousel_status_description((carousel_status)(value)), description) == 0);
    CAROUSEL_STATUS_LIST(ENTRY)
    CHECK(strcmp(carousel_status_name((carousel_status)99), "unknown status") == 0);
    CHECK(strcmp(carousel_status_name((carousel_status)-1), "unknown status") == 0);
}

static void *other_thread(void *argument) {
    (void)argument;
    CHECK(strcmp(carousel_last_error_message(), "") == 0);
    FAILS(carousel_set_threads(-7), CAROUSEL_ERROR_INVALID_ARGUMENT, "-7");
    return NULL;
}

static void test_messages(void) {
    pthread_t thread;
    CHECK(strcmp(carousel_last_error_message(), "") == 0);
    FAILS(carousel_set_threads(-1), CAROUSEL_ERROR_INVALID_ARGUMENT,
          "carousel_set_threads: threads is -1");
    SUCCEEDS(carousel_set_threads(0));
    /* Success leaves the message alone, and so do other threads. */
    CHECK(strstr(carousel_last_error_message(), "threads is -1") != NULL);
    CHECK(pthread_create(&thread, NULL, other_thread, NULL) == 0);
    pthread_join(thread, NULL);
    CHECK(strstr(carousel_last_error_message(), "threads is -1") != NULL);
}

static void test_text(const carousel_network *network) {
    char text[4096], small[10];
    size_t length = 0;
    SUCCEEDS(carousel_network_summary(network, NULL, 0, &length));
    CHECK(length > 50);
    SUCCEEDS(carousel_network_summary(network, text, sizeof text, NULL));
    CHECK(strlen(text) == length);
    CHECK(strstr(text, "first (LSTM)") != NULL);
    /* Exactly large enough, and one byte too small. */
    SUCCEEDS(carousel_network_summary(network, text, length + 1, NULL));
    FAILS(carousel_network_summary(network, text, length, NULL), CAROUSEL_ERROR_LIMIT, "capacity");
    CHECK(strlen(text) == length - 1);
    FAILS(carousel_network_summary(network, small, sizeof small, &length), CAROUSEL_ERROR_LIMIT,
          "capacity is 10");
    CHECK(strlen(small) == 9);
    FAILS(carousel_network_summary(network, NULL, 5, &length), CAROUSEL_ERROR_INVALID_ARGUMENT,
          "buffer is NULL");
    FAILS(carousel_network_summary(network, NULL, 0, NULL), CAROUSEL_ERROR_INVALID_ARGUMENT,
          "buffer and length are both NULL");
}

static void test_handles(void) {
    carousel_network *network = make_network(CAROUSEL_FLOAT32, 0), *other;
    carousel_stream *stream = NULL;
    char memory[64];
    int i;
    SUCCEEDS(carousel_stream_create(network, 1, &stream));
    FAILS(carousel_network_reset_states(NULL), CAROUSEL_ERROR_INVALID_ARGUMENT, "network is NULL");
    FAILS(carousel_network_reset_states((carousel_network *)stream),
          CAROUSEL_ERROR_INVALID_ARGUMENT, "is a carousel_stream, expected a carousel_network");
    FAILS(carousel_network_reset_states((carousel_network *)memory),
          CAROUSEL_ERROR_INVALID_ARGUMENT, "is no handle");
    FAILS(carousel_network_reset_states((carousel_network *)((char *)network + 1)),
          CAROUSEL_ERROR_INVALID_ARGUMENT, "is no handle");
    /* Not mapped at all: never followed. */
    FAILS(carousel_network_reset_states((carousel_network *)8), CAROUSEL_ERROR_INVALID_ARGUMENT,
          "is no handle");
    FAILS(carousel_network_reset_states((carousel_network *)~(uintptr_t)15),
          CAROUSEL_ERROR_INVALID_ARGUMENT, "is no handle");
    carousel_network_free(network);
    FAILS(carousel_network_reset_states(network), CAROUSEL_ERROR_INVALID_ARGUMENT,
          "was freed before");
    carousel_network_free(network);
    carousel_network_free(NULL);
    /* The stream keeps what it needs. */
    SUCCEEDS(carousel_stream_reset(stream));
    /* Thousands of others do not make it valid again. */
    for (i = 0; i < 3000; i++) {
        carousel_stream *copy = NULL;
        if (carousel_stream_copy(stream, &copy) != CAROUSEL_OK) CHECK(!"a copy");
        carousel_stream_free(copy);
    }
    FAILS(carousel_network_reset_states(network), CAROUSEL_ERROR_INVALID_ARGUMENT,
          "was freed before");
    carousel_stream_free(stream);
    other = make_network(CAROUSEL_FLOAT64, 0);
    carousel_network_free(other);
}

static void test_struct_sizes(carousel_network *network) {
    carousel_network_info info;
    struct {
        carousel_network_info info;
        uint64_t newer;
    } longer;
    carousel_run_options options;
    struct {
        carousel_run_options options;
        uint64_t newer;
    } longer_options;
    float input[6] = {0}, output[2];
    carousel_array x = array_of(input, 3, 1, 2, 3), y = array_of(output, 2, 1, 2, 0);
    /* A header that knew the name only. */
    memset(&info, 0x55, sizeof info);
    info.struct_size = sizeof(size_t) + sizeof(char *);
    SUCCEEDS(carousel_network_get_info(network, &info));
    CHECK(strcmp(info.name, "test") == 0);
    CHECK(info.input_count == (size_t)0x5555555555555555);
    /* A newer header than the library: what it does not know becomes zero. */
    memset(&longer, 0x55, sizeof longer);
    longer.info.struct_size = sizeof longer;
    SUCCEEDS(carousel_network_get_info(network, &longer.info));
    CHECK(longer.info.input_count == 1 && longer.newer == 0);
    CHECK(longer.info.struct_size == sizeof longer);
    memset(&info, 0, sizeof info);
    FAILS(carousel_network_get_info(network, &info), CAROUSEL_ERROR_INVALID_ARGUMENT,
          "struct_size is 0");
    info.struct_size = 1 << 20;
    FAILS(carousel_network_get_info(network, &info), CAROUSEL_ERROR_INVALID_ARGUMENT,
          "struct_size is 1048576");
    /* Options of an older header: garbage behind the end is not looked at. */
    memset(&options, 0x55, sizeof options);
    options.struct_size = sizeof(size_t);
    SUCCEEDS(carousel_network_run(network, &x, 1, &y, 1, &options));
    /* Options of a newer header: accepted while what is new is zero. */
    memset(&longer_options, 0, sizeof longer_options);
    longer_options.options.struct_size = sizeof longer_options;
    SUCCEEDS(carousel_network_run(network, &x, 1, &y, 1, &longer_options.options));
    longer_options.newer = 1;
    FAILS(carousel_network_run(network, &x, 1, &y, 1, &longer_options.options),
          CAROUSEL_ERROR_INVALID_ARGUMENT, "older than the program's header");
}

int main(void) {
    carousel_network *network;
    char info[2048];
    test_versions();
    test_statuses();
    test_messages();
    network = make_network(CAROUSEL_FLOAT32, 0);
    test_text(network);
    test_struct_sizes(network);
    carousel_network_free(network);
    test_handles();
    SUCCEEDS(carousel_build_info(info, sizeof info, NULL));
    CHECK(strstr(info, "\nlibhdf5: 1.") || strstr(info, "\nlibhdf5: 2."));
    CHECK(strstr(info, "\nlibzip: 1."));
    CHECK(strstr(info, "version: " CAROUSEL_VERSION_STRING) != NULL);
    return finish();
}
