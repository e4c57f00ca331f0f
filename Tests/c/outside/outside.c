/* A program of somebody else's: a small network from code, a stream, a file and back through the reader
 * of untrusted files, and an error. */
#include <carousel.h>
#include <stdio.h>

int main(void) {
    carousel_builder *builder = NULL;
    carousel_network *network = NULL;
    carousel_stream *stream = NULL;
    carousel_input_options input = {.struct_size = sizeof input, .features = 2, .time = -1};
    carousel_lstm_options lstm = {.struct_size = sizeof lstm, .units = 8};
    carousel_load_options options = {.struct_size = sizeof options, .untrusted = 1};
    carousel_network *loaded = NULL;
    float x[2] = {0.5f, -1}, y[8];
    int i, failed = 0;

    failed |= carousel_builder_create("outside", &builder);
    failed |= carousel_builder_add_input(builder, "input", &input);
    failed |= carousel_builder_add_lstm(builder, "lstm", &lstm);
    failed |= carousel_builder_build(builder, CAROUSEL_FLOAT32, 1, &network);
    failed |= carousel_stream_create(network, 1, &stream);
    for (i = 0; i < 10; i++) failed |= carousel_stream_step(stream, x, y);
    failed |= carousel_network_save(network, "outside.h5", NULL);
    failed |= carousel_network_load("outside.h5", &options, &loaded);
    remove("outside.h5");
    carousel_network_free(loaded);
    carousel_stream_free(stream);
    carousel_network_free(network);
    carousel_builder_free(builder);
    if (failed) fprintf(stderr, "%s\n", carousel_last_error_message());
    if (carousel_version_number() != CAROUSEL_VERSION_NUMBER) failed = 1;
    if (carousel_network_load("no such file", NULL, &network) != CAROUSEL_ERROR_NOT_FOUND) failed = 1;
    printf("Carousel %s: %s\n", carousel_version_string(), carousel_last_error_message());
    return failed != 0 || !(y[0] > -1 && y[0] < 1);
}
