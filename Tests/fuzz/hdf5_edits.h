/* Edits of an HDF5 file in memory, through libhdf5 itself: what comes out is a well-formed file that
 * lies, which changed bytes hardly ever give. */
#ifndef CAROUSEL_FUZZ_HDF5_EDITS_H
#define CAROUSEL_FUZZ_HDF5_EDITS_H

#include <stddef.h>
#include <stdint.h>

enum { EDIT_SIZE = 8 }; /* bytes that describe one edit */

/* Applies `count` edits of EDIT_SIZE bytes to a file. The result is the caller's to free; NULL if
 * libhdf5 cannot open the file. */
uint8_t *edit_hdf5(
    const uint8_t *edits, size_t count, const uint8_t *image, size_t size, size_t *edited_size);

#endif
