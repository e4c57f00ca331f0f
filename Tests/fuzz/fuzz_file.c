/* Raw bytes as a file: HDF5 of every layout, .keras archives. The last two bytes decide what is done
 * with it. Checksums are made right, so that a changed byte gets past them. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *copy;
    uint32_t variant;
    if (size < 2) return 0;
    size -= 2;
    variant = data[size] | (uint32_t)data[size + 1] << 8;
    copy = malloc(size + 1);
    if (!copy) return 0;
    memcpy(copy, data, size);
    repair_checksums(copy, size);
    use_file(memory_file(0, copy, size), variant);
    free(copy);
    return 0;
}
