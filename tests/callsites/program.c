/* A program in C with callsites in a static library: see ../callsites.rs. */

#include <stddef.h>

void fixture_run(size_t n);

int main(int argc, char **argv) {
  (void)argv;
  fixture_run((size_t)argc);
  return 7;
}
