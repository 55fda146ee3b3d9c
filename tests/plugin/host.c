/* Loads a traced library, twice: see ../system/places.rs. */

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>

static int work(const char *path, uint32_t n) {
  void *library = dlopen(path, RTLD_NOW);
  if (library == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return 1;
  }
  uint32_t (*plugin_work)(uint32_t) = (uint32_t(*)(uint32_t))dlsym(library, "plugin_work");
  if (plugin_work == NULL || plugin_work(n) != n) {
    return 2;
  }
  return dlclose(library) == 0 ? 0 : 3;
}

int main(int argc, char **argv) {
  if (argc != 2) {
    return 4;
  }
  int first = work(argv[1], 2);
  return first != 0 ? first : work(argv[1], 3);
}
