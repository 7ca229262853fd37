package org.edgewise.app.engine;

import java.io.File;
import java.nio.ByteBuffer;
import java.util.Locale;
import java.util.Set;
import org.edgewise.app.R;
import org.edgewise.app.model.Refused;
import org.edgewise.app.model.Sidecar;
import org.edgewise.app.model.Tensor;
import org.tensorflow.lite.DataType;
import org.tensorflow.lite.InterpreterApi;

/** TensorFlow Lite, or LiteRT 1.x, which has the same classes. Its Java API does not tell which nodes XNNPACK took. */
final class LiteRt implements Engine {
    @Override
    public String id() {
        return "litert";
    }

    @Override
    public Set<Accelerator> accelerators() {
        return Set.of(Accelerator.DEFAULT, Accelerator.XNNPACK, Accelerator.NO_XNNPACK);
    }

    @Override
    public Loaded load(File file, Sidecar sidecar, Settings settings) throws Refused {
        InterpreterApi.Options options = new InterpreterApi.Options().setNumThreads(settings.threads());
        // by default it takes XNNPACK where that takes the file; asked for, a file that it does not take is refused
        if (settings.accelerator() != Accelerator.DEFAULT) options.setUseXNNPACK(settings.accelerator() == Accelerator.XNNPACK);
        InterpreterApi interpreter = InterpreterApi.create(file, options);
        try {
            interpreter.resizeInput(0, sidecar.input.shape());
            interpreter.allocateTensors();
            require(interpreter.getInputTensor(0).dataType(), sidecar.input.dtype());
            require(interpreter.getOutputTensor(0).dataType(), sidecar.output.dtype());
            return new Interpreted(interpreter, sidecar.output.allocate());
        } catch (Refused | RuntimeException | Error error) {
            interpreter.close();
            throw error;
        }
    }

    private static void require(DataType actual, String promised) throws Refused {
        if (!actual.name().equalsIgnoreCase(promised)) {
            throw new Refused(R.string.type_differs, actual.name().toLowerCase(Locale.ROOT), promised);
        }
    }

    private record Interpreted(InterpreterApi interpreter, ByteBuffer answer) implements Loaded {
        @Override
        public ByteBuffer run(ByteBuffer input) {
            Tensor.rewind(answer);
            interpreter.run(input, answer);
            return answer;
        }

        @Override
        public void close() {
            interpreter.close();
        }
    }
}
