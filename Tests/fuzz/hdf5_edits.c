#include "hdf5_edits.h"
#include "fuzz.h"

#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Paths of everything in the file, collected before the first edit. */
enum { NAMES = 256, LENGTH = 128 };
static char names[NAMES][LENGTH];
static uint32_t name_count;

static herr_t collect(hid_t group, const char *name, const H5L_info_t *info, void *context) {
    (void)group;
    (void)info;
    (void)context;
    if (name_count < NAMES && strlen(name) < LENGTH) strcpy(names[name_count++], name);
    return 0;
}

static const char *some_name(bytes *edit) { return names[next_choice(edit, name_count)]; }

static const hsize_t extents[] = {0,    1,         2,          3,         4,       5,   6,  8,
                                  12,   16,        20,         24,        32,      64,  96, 128,
                                  1000, 100000000, 1ull << 31, 1ull << 32, 1ull << 40, 1ull << 61,
                                  1ull << 62, ~0ull >> 1};

static hid_t some_type(bytes *edit) {
    hid_t type;
    switch (next_choice(edit, 16)) {
    case 0: return H5Tcopy(H5T_IEEE_F64LE);
    case 1: return H5Tcopy(H5T_IEEE_F32BE);
    case 2: return H5Tcopy(H5T_STD_I8LE);
    case 3: return H5Tcopy(H5T_STD_I64BE);
    case 4: return H5Tcopy(H5T_STD_U16LE);
    case 5:
        type = H5Tcopy(H5T_C_S1);
        H5Tset_size(type, H5T_VARIABLE);
        return type;
    case 6:
        type = H5Tcopy(H5T_C_S1);
        H5Tset_size(type, 1 + next_choice(edit, 40));
        return type;
    case 7: return H5Tcreate(H5T_OPAQUE, 1 + next_choice(edit, 3));
    case 8:
        type = H5Tcreate(H5T_COMPOUND, 8);
        H5Tinsert(type, "r", 0, H5T_NATIVE_FLOAT);
        H5Tinsert(type, "i", 4, H5T_NATIVE_FLOAT);
        return type;
    case 9: return H5Tvlen_create(H5T_NATIVE_FLOAT);
    case 10: {
        hsize_t two[1] = {2};
        return H5Tarray_create2(H5T_NATIVE_FLOAT, 1, two);
    }
    case 11: return H5Tcopy(H5T_STD_REF_OBJ);
    case 12: /* an odd float: float16, or nonsense */
        type = H5Tcopy(H5T_IEEE_F32LE);
        H5Tset_fields(type, 15, 10, 5, 0, 10);
        H5Tset_size(type, 2);
        H5Tset_ebias(type, next_choice(edit, 2) ? 15 : 3);
        return type;
    case 13:
        type = H5Tcopy(H5T_STD_I32LE);
        H5Tset_precision(type, 1 + next_choice(edit, 32));
        return type;
    case 14: return H5Tenum_create(H5T_NATIVE_INT8);
    default: return H5Tcopy(H5T_IEEE_F32LE);
    }
}

static hid_t some_space(bytes *edit, hsize_t *shape, int *rank) {
    uint32_t kind = next_choice(edit, 16);
    int i;
    *rank = 0;
    if (kind == 0) return H5Screate(H5S_NULL);
    if (kind == 1) return H5Screate(H5S_SCALAR);
    *rank = kind == 2 ? 32 : (int)(1 + kind % 3);
    for (i = 0; i < *rank; i++)
        shape[i] = kind == 2 ? 1 : extents[next_choice(edit, sizeof extents / sizeof *extents)];
    return H5Screate_simple(*rank, shape, NULL);
}

static void replace_dataset(hid_t file, bytes *edit) {
    const char *name = some_name(edit);
    hsize_t shape[32], chunk[32];
    int rank, i;
    hid_t properties = H5Pcreate(H5P_DATASET_CREATE), type, space, dataset;
    uint32_t storage = next_choice(edit, 16);
    type = some_type(edit);
    space = some_space(edit, shape, &rank);
    switch (storage) {
    case 0: H5Pset_layout(properties, H5D_COMPACT); break;
    case 1: H5Pset_external(properties, "/etc/hostname", 0, H5F_UNLIMITED); break;
    case 2: H5Pset_virtual(properties, space, "/etc/hostname", "x", space); break;
    case 3: H5Pset_alloc_time(properties, H5D_ALLOC_TIME_EARLY); break;
    case 4: case 5: case 6: case 7: case 8:
        for (i = 0; i < rank; i++) chunk[i] = shape[i] < 1 ? 1 : shape[i] > 64 ? 64 : shape[i];
        if (rank) H5Pset_chunk(properties, rank, chunk);
        if (storage == 5) H5Pset_deflate(properties, 4);
        if (storage == 6) H5Pset_shuffle(properties), H5Pset_fletcher32(properties);
        if (storage == 7) H5Pset_scaleoffset(properties, H5Z_SO_FLOAT_DSCALE, 2);
        if (storage == 8) H5Pset_filter(properties, 32000, H5Z_FLAG_OPTIONAL, 0, NULL);
        break;
    default: break;
    }
    H5Ldelete(file, name, H5P_DEFAULT);
    dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    if (dataset >= 0 && storage > 3 && H5Sget_simple_extent_npoints(space) < 4096) {
        static float values[4096 * 2];
        H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    }
    H5Dclose(dataset);
    H5Sclose(space);
    H5Tclose(type);
    H5Pclose(properties);
}

static void change_values(hid_t file, bytes *edit) {
    static const double odd[] = {0, -0.0, 1, -1, 1e-45, 1e38, 1e300, INFINITY, -INFINITY, NAN};
    hid_t dataset = H5Dopen2(file, some_name(edit), H5P_DEFAULT), space;
    hssize_t count;
    static double values[65536];
    if (dataset < 0) return;
    space = H5Dget_space(dataset);
    count = H5Sget_simple_extent_npoints(space);
    if (count > 0 && count <= 65536 &&
        H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0) {
        values[next_choice(edit, (uint32_t)count)] = odd[next_choice(edit, 10)];
        H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    }
    H5Sclose(space);
    H5Dclose(dataset);
}

/* ---- attributes ---- */

static hid_t some_object(hid_t file, bytes *edit) {
    uint32_t index = next_choice(edit, name_count + 1);
    return H5Oopen(file, index == name_count ? "/" : names[index], H5P_DEFAULT);
}

/* Name of an attribute of the object; empty if it has none. */
static const char *some_attribute(hid_t object, bytes *edit, char *name, size_t capacity) {
    H5O_info_t info;
    name[0] = 0;
    if (H5Oget_info2(object, &info, H5O_INFO_NUM_ATTRS) >= 0 && info.num_attrs > 0)
        H5Aget_name_by_idx(object, ".", H5_INDEX_NAME, H5_ITER_INC,
                           next_choice(edit, (uint32_t)info.num_attrs), name, capacity,
                           H5P_DEFAULT);
    return name;
}

static void write_text(hid_t object, const char *name, const char *text) {
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR), attribute;
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    H5Adelete(object, name);
    attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute >= 0) H5Awrite(attribute, type, &text);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
}

/* Text of a scalar attribute, to be freed; NULL if it has none. */
static char *read_text(hid_t object, const char *name) {
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT), type, space, memory;
    char *text = NULL, *copy = NULL;
    if (attribute < 0) return NULL;
    type = H5Aget_type(attribute);
    space = H5Aget_space(attribute);
    memory = H5Tcopy(H5T_C_S1);
    H5Tset_cset(memory, H5Tget_cset(type));
    if (H5Tget_class(type) == H5T_STRING && H5Sget_simple_extent_npoints(space) == 1) {
        if (H5Tis_variable_str(type) > 0) {
            H5Tset_size(memory, H5T_VARIABLE);
            if (H5Aread(attribute, memory, &text) >= 0 && text) {
                copy = strdup(text);
                H5free_memory(text);
            }
        } else {
            H5Tset_size(memory, H5Tget_size(type) + 1);
            copy = calloc(1, H5Tget_size(type) + 1);
            if (copy && H5Aread(attribute, memory, copy) < 0) copy[0] = 0;
        }
    }
    H5Tclose(memory);
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
    return copy;
}

static void change_text(hid_t object, const char *name, bytes *edit) {
    char *text = read_text(object, name), *larger;
    size_t size;
    uint32_t rounds = 1 + next_choice(edit, 4), seed = next_number(edit, 2);
    if (!text) return;
    size = strlen(text);
    larger = realloc(text, size + 4096);
    if (larger) {
        size_t capacity = size + 4095;
        while (rounds-- > 0) size = mutate_json(larger, size, capacity, seed = seed * 69069 + 1);
        larger[size] = 0;
        write_text(object, name, larger);
    }
    free(larger ? larger : text);
}

/* A list of names becomes a list of others. */
static void replace_list(hid_t object, const char *name, bytes *edit) {
    const char *list[8];
    hsize_t count = next_choice(edit, 8);
    hid_t type = H5Tcopy(H5T_C_S1), space, attribute;
    hsize_t i;
    for (i = 0; i < count; i++) list[i] = some_name(edit);
    space = H5Screate_simple(1, &count, NULL);
    H5Tset_size(type, H5T_VARIABLE);
    H5Adelete(object, name);
    attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute >= 0 && count) H5Awrite(attribute, type, list);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
}

static void replace_attribute(hid_t object, const char *name, bytes *edit) {
    hsize_t shape[32];
    int rank;
    hid_t type = some_type(edit), space = some_space(edit, shape, &rank), attribute;
    H5Adelete(object, name);
    attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute >= 0 && H5Tget_class(type) <= H5T_FLOAT &&
        H5Sget_simple_extent_npoints(space) < 4096) {
        static int32_t values[4096];
        values[0] = (int32_t)next_number(edit, 1) - 100;
        H5Awrite(attribute, H5T_NATIVE_INT32, values);
    }
    H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
}

static void edit_attribute(hid_t file, uint32_t kind, bytes *edit) {
    hid_t object = some_object(file, edit);
    char name[LENGTH];
    if (object < 0) return;
    some_attribute(object, edit, name, sizeof name);
    switch (kind) {
    case 0: H5Adelete(object, name); break;
    case 1: replace_attribute(object, name, edit); break;
    case 2:
    case 3: replace_list(object, name, edit); break;
    default: change_text(object, name, edit);
    }
    H5Oclose(object);
}

/* ---- a file ---- */

static void apply(hid_t file, bytes edit) {
    uint32_t kind = next_choice(&edit, 20);
    const char *from, *to;
    if (kind >= 10) {
        edit_attribute(file, kind % 10 < 7 ? kind - 10 : 4, &edit);
        return;
    }
    if (kind < 3) {
        replace_dataset(file, &edit);
        return;
    }
    if (kind == 3) {
        change_values(file, &edit);
        return;
    }
    from = some_name(&edit), to = some_name(&edit);
    switch (kind) {
    case 4: H5Ldelete(file, from, H5P_DEFAULT); break;
    case 5: H5Lmove(file, from, file, to, H5P_DEFAULT, H5P_DEFAULT); break;
    case 6: /* several names for one object, cycles */
        H5Ldelete(file, to, H5P_DEFAULT);
        H5Lcreate_hard(file, from, file, to, H5P_DEFAULT, H5P_DEFAULT);
        break;
    case 7:
        H5Ldelete(file, to, H5P_DEFAULT);
        H5Lcreate_soft(from, file, to, H5P_DEFAULT, H5P_DEFAULT);
        break;
    case 8:
        H5Ldelete(file, to, H5P_DEFAULT);
        H5Lcreate_external("/etc/hostname", from, file, to, H5P_DEFAULT, H5P_DEFAULT);
        break;
    default: H5Ocopy(file, from, file, to, H5P_DEFAULT, H5P_DEFAULT);
    }
}

uint8_t *edit_hdf5(
    const uint8_t *edits, size_t count, const uint8_t *image, size_t size, size_t *edited_size) {
    hid_t properties = H5Pcreate(H5P_FILE_ACCESS), file;
    uint8_t *result = NULL;
    ssize_t length;
    size_t i;
    H5E_auto2_t handler;
    void *context;
    H5Eget_auto2(H5E_DEFAULT, &handler, &context);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    H5Pset_fclose_degree(properties, H5F_CLOSE_STRONG);
    H5Pset_fapl_core(properties, 1 << 16, 0);
    H5Pset_file_image(properties, (void *)(uintptr_t)image, size);
    file = H5Fopen("fuzz", H5F_ACC_RDWR, properties);
    H5Pclose(properties);
    if (file >= 0) {
        name_count = 0;
        H5Lvisit(file, H5_INDEX_NAME, H5_ITER_INC, collect, NULL);
        for (i = 0; i < count && name_count > 0; i++) {
            bytes edit = {edits + i * EDIT_SIZE, EDIT_SIZE};
            apply(file, edit);
        }
        H5Fflush(file, H5F_SCOPE_LOCAL);
        length = H5Fget_file_image(file, NULL, 0);
        if (length > 0 && (result = malloc((size_t)length)) != NULL)
            length = H5Fget_file_image(file, result, (size_t)length);
        *edited_size = length > 0 ? (size_t)length : 0;
        H5Fclose(file);
    }
    H5Eclear2(H5E_DEFAULT);
    H5Eset_auto2(H5E_DEFAULT, handler, context);
    return result;
}
