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
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import org.edgewise.app.model.Sidecar;
import org.edgewise.app.model.Tensor;
import org.edgewise.app.store.Texts;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

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
        ByteBuffer answer = sidecar.output.allocate(); // before the session, which nobody would close
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

    /** Returns which provider ran how many nodes of a profile, such as "CPU 7 nodes, NNAPI 2 nodes"; null for no node. */
    private static String summary(String json) throws JSONException {
        JSONArray events = new JSONArray(json);
        Map<String, Set<String>> nodes = new TreeMap<>();
        for (int i = 0; i < events.length(); i++) {
            JSONObject event = events.getJSONObject(i);
            JSONObject arguments = event.optJSONObject("args");
            String provider = arguments == null ? "" : arguments.optString("provider");
            if (event.optString("cat").equals("Node") && !provider.isEmpty()) {
                nodes.computeIfAbsent(provider.replace("ExecutionProvider", ""), p -> new HashSet<>()).add(event.getString("name"));
            }
        }
        List<String> counts = new ArrayList<>();
        nodes.forEach((provider, names) -> counts.add(provider + " " + names.size() + " nodes"));
        return counts.isEmpty() ? null : String.join(", ", counts);
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
                Tensor.rewind(answer);
                answer.put(got);
                Tensor.rewind(answer);
                return answer;
            }
        }

        private OnnxTensor tensor(ByteBuffer given) throws OrtException {
            OnnxJavaType type = switch (sidecar.input.dtype()) {
                case "float32" -> OnnxJavaType.FLOAT;
                case "uint8" -> OnnxJavaType.UINT8;
                default -> OnnxJavaType.INT8;
            };
            Tensor.rewind(given);
            return OnnxTensor.createTensor(environment, given, sidecar.input.sizes(), type);
        }

        @Override
        public String ran() throws OrtException, IOException, JSONException {
            File prefix = new File(file.getParentFile(), "profile-" + System.nanoTime());
            try (OrtSession.SessionOptions options = options(settings)) {
                options.enableProfiling(prefix.getPath());
                try (OrtSession profiled = environment.createSession(file.getPath(), options)) {
                    run(profiled, sidecar.input.allocate());
                    File profile = new File(profiled.endProfiling());
                    try {
                        return summary(Texts.read(profile));
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
