package org.edgewise.app.engine;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Base64;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;
import org.edgewise.app.model.Sidecar;
import org.edgewise.app.model.Tensor;

/** An engine of the tests: the project's own adapter of a desktop runtime answers, in a process of its own. */
public record WorkerEngine(String id) implements Engine {
    // By engine and checksum: a runtime takes seconds to start, so it serves every test; it ends with this program.
    private static final Map<String, Asked> RUNNING = new ConcurrentHashMap<>();

    @Override
    public Loaded load(File file, Sidecar sidecar, Settings settings) throws IOException {
        String key = id + file.getName();
        if (!RUNNING.containsKey(key)) RUNNING.put(key, new Asked(id, file, sidecar));
        return RUNNING.get(key);
    }

    private static final class Asked implements Loaded {
        private final Process process;
        private final BufferedReader answers;
        private final BufferedWriter questions;

        Asked(String id, File file, Sidecar sidecar) throws IOException {
            String shape = Arrays.stream(sidecar.input.shape()).mapToObj(String::valueOf).collect(Collectors.joining(","));
            String python = System.getProperty("edgewise.python." + id);
            process = new ProcessBuilder(python, System.getProperty("edgewise.inference_server"), System.getProperty("edgewise.runtime." + id),
                    file.getPath(), sidecar.input.dtype(), shape)
                    .redirectError(ProcessBuilder.Redirect.DISCARD).start();
            answers = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
            questions = new BufferedWriter(new OutputStreamWriter(process.getOutputStream(), StandardCharsets.UTF_8));
            Runtime.getRuntime().addShutdownHook(new Thread(process::destroy));
            String reply = answers.readLine();
            if (!"ready".equals(reply)) {
                process.destroy();
                throw new IOException(reply);
            }
        }

        @Override
        public synchronized ByteBuffer run(ByteBuffer input) throws IOException {
            byte[] bytes = new byte[input.capacity()];
            Tensor.rewind(input);
            input.get(bytes);
            questions.write(Base64.getEncoder().encodeToString(bytes) + "\n");
            questions.flush();
            String reply = answers.readLine();
            if (reply == null || reply.startsWith("!")) throw new IOException(String.valueOf(reply));
            return ByteBuffer.wrap(Base64.getDecoder().decode(reply)).order(ByteOrder.nativeOrder());
        }

        @Override
        public void close() {} // another test may ask it
    }
}
