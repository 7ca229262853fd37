package org.edgewise.app.engine;

import static org.edgewise.app.model.Tensor.rewind;

import java.io.File;
import java.nio.ByteBuffer;
import java.util.function.IntSupplier;
import org.edgewise.app.model.Sidecar;
import org.pytorch.executorch.EValue;
import org.pytorch.executorch.Module;
import org.pytorch.executorch.Tensor;

/** ExecuTorch. The file fixes what its delegates take, and the module tells which delegates it uses. */
final class ExecuTorch implements Engine {
    @Override
    public String id() {
        return "executorch";
    }

    @Override
    public Loaded load(File file, Sidecar sidecar, Settings settings) {
        Module module = Module.load(file.getPath(), Module.LOAD_MODE_MMAP, settings.threads());
        try {
            int code = errorOf(() -> module.loadMethod("forward"));
            if (code != 0) throw new IllegalStateException("its method `forward` is not loaded: error " + code);
            return new Forward(module, sidecar, sidecar.input.sizes(), sidecar.output.allocate());
        } catch (RuntimeException | Error error) {
            module.destroy();
            throw error;
        }
    }

    /** Returns the number of the error that loading gives; the compiler takes this where loading returns one, as in older versions. */
    private static int errorOf(IntSupplier loading) {
        return loading.getAsInt();
    }

    /** Newer versions throw instead: 0 where nothing was thrown. */
    private static int errorOf(Runnable loading) {
        loading.run();
        return 0;
    }

    private record Forward(Module module, Sidecar sidecar, long[] shape, ByteBuffer answer) implements Loaded {
        @Override
        public ByteBuffer run(ByteBuffer input) {
            rewind(input);
            Tensor given = switch (sidecar.input.dtype()) {
                case "float32" -> Tensor.fromBlob(input.asFloatBuffer(), shape);
                case "uint8" -> Tensor.fromBlobUnsigned(input, shape);
                default -> Tensor.fromBlob(input, shape);
            };
            Tensor got = module.forward(EValue.from(given))[0].toTensor();
            return switch (sidecar.output.dtype()) {
                case "float32" -> floats(got.getDataAsFloatArray());
                case "uint8" -> ByteBuffer.wrap(got.getDataAsUnsignedByteArray());
                default -> ByteBuffer.wrap(got.getDataAsByteArray());
            };
        }

        private ByteBuffer floats(float[] values) {
            ByteBuffer filled = values.length * 4 == answer.capacity() ? answer
                    : ByteBuffer.allocate(values.length * 4).order(answer.order()); // which the caller refuses
            rewind(filled);
            filled.asFloatBuffer().put(values);
            return filled;
        }

        @Override
        public String ran() {
            String[] backends = module.getMethodMetadata("forward").getBackends();
            return backends.length == 0 ? "portable kernels, no delegate" : String.join(", ", backends);
        }

        @Override
        public void close() {
            module.destroy();
        }
    }
}
