/* Workload E's floor: opens libhdf5 and nothing else. No program that reads HDF5 with the system's library starts sooner.
 *
 *   cc -O2 libhdf5_alone.c -o libhdf5_alone -ldl && ./libhdf5_alone
 */
#include <dlfcn.h>
#include <stdio.h>

int main(void) {
  static const char *const names[] = {"libhdf5_serial.so.103", "libhdf5.so.103", "libhdf5.so"};
  for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
    void *library = dlopen(names[k], RTLD_LAZY | RTLD_LOCAL);
    if (!library) continue;
    int (*open)(void) = NULL;
    *(void **)&open = dlsym(library, "H5open");
    if (!open || open() < 0) return 1;
    puts(names[k]);
    return 0;
  }
  fputs("there is no libhdf5\n", stderr);
  return 1;
}
