package org.edgewise.app.engine;

import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtProvider;
import ai.onnxruntime.OrtSession;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.util.EnumSet;
import java.util.Map;
import java.util.Set;
import org.edgewise.app.model.Sidecar;
import org.edgewise.app.model.Tensors;
import org.json.JSONException;

/** ONNX Runtime. Its own profile tells on which provider each node ran. */
final class OnnxRuntime implements Engine {
    @Override
    public String id() {
        return "onnxruntime";
    }

    @Override
    public Set<Accelerator> accelerators() {
        Set<Accelerator> offered = EnumSet.of(Accelerator.DEFAULT, Accelerator.NO_XNNPACK); // its own kernels in both cases
        Set<OrtProvider> there = OrtEnvironment.getAvailableProviders();
        if (there.contains(OrtProvider.XNNPACK)) offered.add(Accelerator.XNNPACK);
        if (there.contains(OrtProvider.NNAPI)) offered.add(Accelerator.NNAPI);
        return offered;
    }

    @Override
    public Loaded load(File file, Sidecar sidecar, Settings settings) throws OrtException {
        OrtEnvironment environment = OrtEnvironment.getEnvironment();
        environment.setTelemetry(false);
        ByteBuffer answer = Tensors.allocate(sidecar.output); // before the session, which nobody would close
        try (OrtSession.SessionOptions options = options(settings)) {
            OrtSession session = environment.createSession(file.getPath(), options);
            return new Session(file, sidecar, settings, environment, session, session.getInputNames().iterator().next(), answer);
        }
    }

    private static OrtSession.SessionOptions options(Settings settings) throws OrtException {
        OrtSession.SessionOptions options = new OrtSession.SessionOptions();
        options.setIntraOpNumThreads(settings.threads());
        options.setInterOpNumThreads(1);
        switch (settings.accelerator()) {
            case XNNPACK -> options.addXnnpack(Map.of("intra_op_num_threads", String.valueOf(settings.threads())));
            case NNAPI -> options.addNnapi();
            default -> { }
        }
        return options;
    }

    private record Session(File file, Sidecar sidecar, Settings settings, OrtEnvironment environment, OrtSession session, String input,
            ByteBuffer answer) implements Loaded {
        @Override
        public ByteBuffer run(ByteBuffer given) throws OrtException {
            return run(session, given);
        }

        private ByteBuffer run(OrtSession session, ByteBuffer given) throws OrtException {
            try (OnnxTensor tensor = tensor(given); OrtSession.Result result = session.run(Map.of(input, tensor))) {
                ByteBuffer got = ((OnnxTensor) result.get(0)).getByteBuffer();
                if (got.remaining() != answer.capacity()) return got; // which the caller refuses
                Tensors.rewind(answer);
                answer.put(got);
                Tensors.rewind(answer);
                return answer;
            }
        }

        private OnnxTensor tensor(ByteBuffer given) throws OrtException {
            OnnxJavaType type = switch (sidecar.input.dtype()) {
                case "float32" -> OnnxJavaType.FLOAT;
                case "uint8" -> OnnxJavaType.UINT8;
                default -> OnnxJavaType.INT8;
            };
            Tensors.rewind(given);
            return OnnxTensor.createTensor(environment, given, sidecar.input.sizes(), type);
        }

        @Override
        public String ran() throws OrtException, IOException, JSONException {
            File prefix = new File(file.getParentFile(), "profile-" + System.nanoTime());
            try (OrtSession.SessionOptions options = options(settings)) {
                options.enableProfiling(prefix.getPath());
                try (OrtSession profiled = environment.createSession(file.getPath(), options)) {
                    run(profiled, Tensors.allocate(sidecar.input));
                    File profile = new File(profiled.endProfiling());
                    try {
                        return Profile.summary(new String(Files.readAllBytes(profile.toPath()), "UTF-8"));
                    } finally {
                        profile.delete();
                    }
                }
            }
        }

        @Override
        public void close() {
            try {
                session.close();
            } catch (OrtException error) {
                throw new IllegalStateException(error);
            }
        }
    }
}
