/* Prints, in a line of JSON, the most multiply-accumulates per second that one core of this machine does: float32, and
 * int8 summed into int32. Chains of independent sums hide the instructions' latency; nothing is read from memory. */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#if defined __AVX512F__
#define WIDTH 64
#elif defined __AVX__
#define WIDTH 32
#else
#define WIDTH 16
#endif
#if defined __AVX2__
#include <immintrin.h>
#elif defined __ARM_FEATURE_DOTPROD
#include <arm_neon.h>
#endif

typedef float floats __attribute__((vector_size(WIDTH)));
enum { CHAINS = 12, STEPS = 1 << 20, RUNS = 40 };

#if defined __AVX512VNNI__
typedef __m512i bytes;
#define INT8 "AVX-512 VNNI"
#define ACCUMULATE(sum, a, b) _mm512_dpbusd_epi32(sum, a, b)
#elif defined __AVXVNNI__
typedef __m256i bytes;
#define INT8 "AVX-VNNI"
#define ACCUMULATE(sum, a, b) _mm256_dpbusd_avx_epi32(sum, a, b)
#elif defined __AVX2__
typedef __m256i bytes;
#define INT8 "AVX2"
#define ACCUMULATE(sum, a, b) \
  _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1)))
#elif defined __ARM_FEATURE_DOTPROD
typedef int32x4_t bytes;
#define INT8 "Arm dot product"
#define ACCUMULATE(sum, a, b) vdotq_s32(sum, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b))
#endif

/* Hides a value from the compiler, which would otherwise work with it once and for all. */
#if defined __aarch64__
#define HIDE(x) __asm__ volatile("" : "+w"(x))
#else
#define HIDE(x) __asm__ volatile("" : "+v"(x))
#endif

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

#define BEST(type, work, lanes, result)                              \
  for (int run = 0; run < RUNS; run++) {                             \
    type sum[CHAINS] = {0}, a = {0}, b = {0};                        \
    for (int c = 0; c < CHAINS; c++) HIDE(sum[c]);                   \
    HIDE(b);                                                         \
    double began = now();                                            \
    for (int step = 0; step < STEPS / 4; step++) {                   \
      HIDE(a);                                                       \
      _Pragma("GCC unroll 12") for (int c = 0; c < CHAINS; c++) work; \
    }                                                                \
    double rate = (double)(STEPS / 4) * CHAINS * (lanes) / (now() - began); \
    for (int c = 0; c < CHAINS; c++) HIDE(sum[c]);                   \
    if (rate > result) result = rate;                                \
  }

int main(void) {
  double float32 = 0;
  BEST(floats, sum[c] = sum[c] * a + b, WIDTH / sizeof(float), float32)
  printf("{\"float32\": {\"macs_per_s\": %.0f, \"with\": \"%d-bit vectors\"}", float32, WIDTH * 8);
#ifdef INT8
  double int8 = 0;
  BEST(bytes, sum[c] = ACCUMULATE(sum[c], a, b), sizeof(bytes), int8)
  printf(", \"int8\": {\"macs_per_s\": %.0f, \"with\": \"%s\"}", int8, INT8);
#endif
  puts("}");
  return 0;
}
