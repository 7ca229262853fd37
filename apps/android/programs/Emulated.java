import com.github.unidbg.AndroidEmulator;
import com.github.unidbg.Emulator;
import com.github.unidbg.Module;
import com.github.unidbg.arm.backend.DynarmicFactory;
import com.github.unidbg.file.FileResult;
import com.github.unidbg.file.linux.AndroidFileIO;
import com.github.unidbg.linux.android.AndroidEmulatorBuilder;
import com.github.unidbg.linux.android.AndroidResolver;
import com.github.unidbg.linux.file.ByteArrayFileIO;
import com.github.unidbg.pointer.UnidbgPointer;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Base64;

/**
 * Lets an Android library of TensorFlow Lite, arm64, answer inputs on this machine: LIBRARY MODEL INPUTS COUNT DELEGATE.
 *
 * <p>INPUTS holds COUNT inputs one after the other; each answer is a line "answer BASE64" on standard output. DELEGATE is
 * "xnnpack", as the app asks for it, or "none".
 */
public final class Emulated {
    private static final String CPUINFO = "processor\t: 0\nBogoMIPS\t: 48.00\nFeatures\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 "
            + "atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp\nCPU implementer\t: 0x41\nCPU architecture: 8\n"
            + "CPU variant\t: 0x1\nCPU part\t: 0xd0b\nCPU revision\t: 0\n\nHardware\t: emulated\n";

    private final AndroidEmulator emulator;
    private final Module module;

    private Emulated(File library) {
        emulator = AndroidEmulatorBuilder.for64Bit().addBackendFactory(new DynarmicFactory(true)).setProcessName("org.edgewise.app").build();
        emulator.getMemory().setLibraryResolver(new AndroidResolver(23));
        emulator.getSyscallHandler().addIOResolver(Emulated::file);
        emulator.createDalvikVM();
        module = emulator.loadLibrary(library, true);
    }

    /** Serves what cpuinfo reads: without it XNNPACK refuses to start. */
    private static FileResult<AndroidFileIO> file(Emulator<AndroidFileIO> emulator, String path, int flags) {
        String content = switch (path) {
            case "/proc/cpuinfo" -> CPUINFO;
            case "/sys/devices/system/cpu/possible", "/sys/devices/system/cpu/present", "/sys/devices/system/cpu/kernel_max" -> "0\n";
            default -> null;
        };
        return content == null ? null : FileResult.success(new ByteArrayFileIO(flags, path, content.getBytes()));
    }

    private UnidbgPointer call(String function, Object... arguments) {
        long result = module.callFunction(emulator, function, arguments).longValue();
        return UnidbgPointer.pointer(emulator, result);
    }

    private void require(String function, Object... arguments) {
        int status = module.callFunction(emulator, function, arguments).intValue();
        if (status != 0) throw new IllegalStateException(function + " says " + status);
    }

    private UnidbgPointer bytes(byte[] content) {
        UnidbgPointer pointer = emulator.getMemory().malloc(content.length, true).getPointer();
        pointer.write(0, content, 0, content.length);
        return pointer;
    }

    private static UnidbgPointer required(UnidbgPointer pointer, String what) {
        if (pointer == null) throw new IllegalStateException(what + " was not made");
        return pointer;
    }

    private void answer(byte[] model, byte[] inputs, int count, boolean delegate) {
        UnidbgPointer network = required(call("TfLiteModelCreate", bytes(model), (long) model.length), "the model");
        UnidbgPointer options = call("TfLiteInterpreterOptionsCreate");
        call("TfLiteInterpreterOptionsSetNumThreads", options, 1);
        if (delegate) {
            UnidbgPointer xnnpack = required(call("TfLiteXNNPackDelegateCreate", 0L), "the XNNPACK delegate");
            call("TfLiteInterpreterOptionsAddDelegate", options, xnnpack);
        }
        UnidbgPointer interpreter = required(call("TfLiteInterpreterCreate", network, options), "the interpreter");
        require("TfLiteInterpreterAllocateTensors", interpreter);
        UnidbgPointer input = call("TfLiteInterpreterGetInputTensor", interpreter, 0);
        int size = inputs.length / count;
        UnidbgPointer given = bytes(new byte[size]);
        for (int i = 0; i < count; i++) {
            given.write(0, inputs, i * size, size);
            require("TfLiteTensorCopyFromBuffer", input, given, (long) size);
            require("TfLiteInterpreterInvoke", interpreter);
            UnidbgPointer output = call("TfLiteInterpreterGetOutputTensor", interpreter, 0);
            int bytes = module.callFunction(emulator, "TfLiteTensorByteSize", output).intValue();
            byte[] logits = call("TfLiteTensorData", output).getByteArray(0, bytes);
            System.out.println("answer " + Base64.getEncoder().encodeToString(logits));
        }
    }

    public static void main(String[] arguments) throws Exception {
        try {
            byte[] model = Files.readAllBytes(Path.of(arguments[1]));
            byte[] inputs = Files.readAllBytes(Path.of(arguments[2]));
            new Emulated(new File(arguments[0])).answer(model, inputs, Integer.parseInt(arguments[3]), arguments[4].equals("xnnpack"));
        } catch (RuntimeException error) {
            System.out.println("failed " + error.getMessage());
        }
        System.out.flush();
        Runtime.getRuntime().halt(0); // at once: the emulator's threads would go on
    }
}
