/* A plugin for qemu's user mode: counts the executed instructions of each of the guest's threads. At each mark, which is
 * the close() of a descriptor that nobody has, it prints the count of the thread that marks, and that of all others.
 * The guest's clocks go by the instructions of its first thread, a nanosecond each: what a runtime does every so many
 * seconds is then the same in each run, however fast it is emulated.
 * The declarations are those of qemu-plugin.h, which no package holds.
 * https://www.qemu.org/docs/master/devel/tcg-plugins.html */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef uint64_t qemu_plugin_id_t;
typedef struct qemu_info_t {
  const char *target_name; /* and more */
} qemu_info_t;
struct qemu_plugin_tb;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
typedef void (*translated_t)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*executed_t)(unsigned int, void *);
typedef void (*called_t)(qemu_plugin_id_t, unsigned int, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                         uint64_t, uint64_t, uint64_t);
typedef void (*returned_t)(qemu_plugin_id_t, unsigned int, int64_t, int64_t);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translated_t);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, executed_t, enum qemu_plugin_cb_flags, void *);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, called_t);
void qemu_plugin_register_vcpu_syscall_ret_cb(qemu_plugin_id_t, returned_t);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
void qemu_plugin_outs(const char *);
/* Only qemu 9 and later have it, and those take no plugin for the first version of the interface. */
__attribute__((weak)) void qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu(void);

enum { THREADS = 4096 };
int qemu_plugin_version;
static const uint32_t mark = 0x0ed6e815; /* probe.py's MARK */
static uint64_t counts[THREADS];
static struct { clockid_t clock; uint64_t address; } asked[THREADS]; /* of a thread's last clock_gettime() */
static int64_t clock_gettime_number;
static int memory;

__attribute__((constructor)) static void choose_version(void) {
  qemu_plugin_version = qemu_plugin_register_vcpu_tb_exec_inline_per_vcpu ? 2 : 1;
}

static void executed(unsigned int thread, void *instructions) {
  counts[thread % THREADS] += (uintptr_t)instructions;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
  void *instructions = (void *)(uintptr_t)qemu_plugin_tb_n_insns(block);
  qemu_plugin_register_vcpu_tb_exec_cb(block, executed, QEMU_PLUGIN_CB_NO_REGS, instructions);
}

static void called(qemu_plugin_id_t id, unsigned int thread, int64_t number, uint64_t first, uint64_t a2, uint64_t a3,
                   uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8) {
  char line[48];
  uint64_t own = counts[thread % THREADS], every = 0;
  if (number == clock_gettime_number) {
    asked[thread % THREADS].clock = (clockid_t)first;
    asked[thread % THREADS].address = a2;
  }
  if ((uint32_t)first != mark) return;
  for (int i = 0; i < THREADS; i++) every += counts[i];
  snprintf(line, sizeof line, "%llu %llu\n", (unsigned long long)own, (unsigned long long)(every - own));
  qemu_plugin_outs(line);
}

static void returned(qemu_plugin_id_t id, unsigned int thread, int64_t number, int64_t result) {
  struct timespec now, told, ours = {counts[0] / 1000000000, counts[0] % 1000000000};
  off_t address = (off_t)asked[thread % THREADS].address;
  if (number != clock_gettime_number || result != 0) return;
  /* The guest's addresses are this process' own, unless qemu had to move it: the time must be there to be replaced. */
  if (clock_gettime(asked[thread % THREADS].clock, &now) || pread(memory, &told, sizeof told, address) != sizeof told) return;
  if (told.tv_sec < now.tv_sec - 60 || told.tv_sec > now.tv_sec) return;
  pwrite(memory, &ours, sizeof ours, address);
}

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
  clock_gettime_number = strcmp(info->target_name, "x86_64") ? 113 : 228; /* of aarch64 and most others, of x86_64 */
  memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_vcpu_syscall_cb(id, called);
  qemu_plugin_register_vcpu_syscall_ret_cb(id, returned);
  return 0;
}
