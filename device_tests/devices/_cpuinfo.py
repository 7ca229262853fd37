"""Prints the /proc/cpuinfo that Linux would show on this Arm core; runs on it, with the standard library only."""

import ctypes
import mmap
import os
import struct

AT_HWCAP, AT_HWCAP2 = 16, 26
# Linux' names, bit by bit. https://docs.kernel.org/arch/arm64/elf_hwcaps.html
HWCAP = (
    "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm jscvt fcma lrcpc dcpop sha3 sm3 sm4 "
    "asimddp sha512 sve asimdfhm dit uscat ilrcpc flagm ssbs sb paca pacg"
)
HWCAP2 = (
    "dcpodp sve2 sveaes svepmull svebitperm svesha3 svesm4 flagm2 frint svei8mm svef32mm svef64mm svebf16 i8mm bf16 dgh "
    "rng bti mte ecv afp rpres mte3 sme smei16i64 smef64f64 smei8i32 smef16f32 smeb16f32 smef32f32 smefa64 wfxt ebf16"
)
READ_MIDR = struct.pack("<II", 0xD5380000, 0xD65F03C0)  # mrs x0, midr_el1; ret


def main() -> None:
    midr, features = identity(), " ".join(capabilities())
    for processor in range(os.cpu_count()):  # /sys is the machine's own and lists as many
        print(f"processor\t: {processor}\nBogoMIPS\t: 100.00\nFeatures\t: {features}")
        print(f"CPU implementer\t: {midr >> 24:#04x}\nCPU architecture: 8\nCPU variant\t: {midr >> 20 & 15:#x}")
        print(f"CPU part\t: {midr >> 4 & 0xFFF:#05x}\nCPU revision\t: {midr & 15}\n")


def identity() -> int:
    """Return the main ID register, which Linux and qemu let programs read."""
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(READ_MIDR)
    return ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()


def capabilities() -> list[str]:
    value = ctypes.CDLL(None).getauxval
    value.argtypes, value.restype = (ctypes.c_ulong,), ctypes.c_ulong
    both = ((HWCAP, value(AT_HWCAP)), (HWCAP2, value(AT_HWCAP2)))
    return [name for names, bits in both for bit, name in enumerate(names.split()) if bits >> bit & 1]


if __name__ == "__main__":
    main()
