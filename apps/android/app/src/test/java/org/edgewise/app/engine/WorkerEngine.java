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
import java.util.Base64;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import org.edgewise.app.model.Sidecar;
import org.edgewise.app.model.Tensors;

/** An engine of the tests: the project's own adapter of a desktop runtime answers, in a process of its own. */
public final class WorkerEngine implements Engine {
    // By engine and checksum: a runtime takes seconds to start, so it serves every test; it ends with this program.
    private static final Map<String, Asked> RUNNING = new ConcurrentHashMap<>();

    private final String id;

    public WorkerEngine(String id) {
        this.id = id;
    }

    @Override
    public String id() {
        return id;
    }

    @Override
    public Set<Accelerator> accelerators() {
        return Set.of(Accelerator.DEFAULT);
    }

    @Override
    public Loaded load(File file, Sidecar sidecar, Settings settings) throws IOException {
        Asked running = RUNNING.get(id + file.getName());
        if (running == null) RUNNING.put(id + file.getName(), running = new Asked(id, file, sidecar));
        return running;
    }

    private static final class Asked implements Loaded {
        private final Process process;
        private final BufferedReader answers;
        private final BufferedWriter questions;

        Asked(String id, File file, Sidecar sidecar) throws IOException {
            String python = System.getProperty("edgewise.python." + id);
            process = new ProcessBuilder(python, System.getProperty("edgewise.answerer"), System.getProperty("edgewise.runtime." + id),
                    file.getPath(), sidecar.input.dtype(), join(sidecar.input.shape()))
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

        private String join(int[] shape) {
            StringBuilder text = new StringBuilder();
            for (int size : shape) text.append(text.length() == 0 ? "" : ",").append(size);
            return text.toString();
        }

        @Override
        public synchronized ByteBuffer run(ByteBuffer input) throws IOException {
            byte[] bytes = new byte[input.capacity()];
            Tensors.rewind(input);
            input.get(bytes);
            questions.write(Base64.getEncoder().encodeToString(bytes) + "\n");
            questions.flush();
            String reply = answers.readLine();
            if (reply == null || reply.startsWith("!")) throw new IOException(String.valueOf(reply));
            return ByteBuffer.wrap(Base64.getDecoder().decode(reply)).order(ByteOrder.nativeOrder());
        }

        @Override
        public String ran() {
            return null; // as the engine that it stands for
        }

        @Override
        public void close() {} // another test may ask it
    }
}
