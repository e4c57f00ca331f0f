/* Architectures as JSON text: Keras's and our own. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity, unsigned seed);

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity, unsigned seed) {
    if (seed % 8 == 0) return LLVMFuzzerMutate(data, size, capacity);
    return mutate_json((char *)data, size, capacity, seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    carousel_network *network = NULL;
    char *text = malloc(size + 1);
    if (!text) return 0;
    memcpy(text, data, size);
    text[size] = 0;
    if (carousel_network_from_json(
            text, size % 2 ? CAROUSEL_FLOAT32 : CAROUSEL_FLOAT64, size, &network) == CAROUSEL_OK) {
        use_network(network, (uint32_t)size);
        carousel_network_free(network);
    }
    free(text);
    return 0;
}
