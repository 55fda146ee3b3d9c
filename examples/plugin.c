/* Loads the library of plugin.rs, and has it count words. */

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>

int main(int argc, char **argv) {
  void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
  if (library == NULL) {
    fprintf(stderr, "usage: %s libplugin.so: %s\n", argv[0], argc > 1 ? dlerror() : "no library");
    return 2;
  }
  size_t (*count_words)(const char *) = (size_t(*)(const char *))dlsym(library, "plugin_count_words");
  if (count_words == NULL) {
    fprintf(stderr, "%s\n", dlerror());
    return 2;
  }
  printf("%zu words\n", count_words("the quick brown fox"));
  dlclose(library);
  return 0;
}
