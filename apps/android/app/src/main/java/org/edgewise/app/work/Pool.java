package org.edgewise.app.work;

import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import org.edgewise.app.engine.Engines;
import org.edgewise.app.engine.Settings;
import org.edgewise.app.model.Refused;
import org.edgewise.app.store.Artifact;

/** Artifacts that stay loaded between answers, up to a limit of their files' bytes; for one thread. */
public final class Pool {
    private static final long MOST_BYTES = 64L << 20;

    private final Engines engines;
    private final Map<String, Running> loaded = new LinkedHashMap<>(16, 0.75f, true); // the least used first
    private Settings settings = Settings.DEFAULT;

    public Pool(Engines engines) {
        this.engines = engines;
    }

    /** Returns an artifact in its engine, loaded where it is not yet. */
    public Running get(Artifact artifact, Settings chosen) throws Refused {
        if (!chosen.equals(settings)) clear();
        settings = chosen;
        String key = artifact.sidecar().sha256 + artifact.id();
        Running running = loaded.get(key);
        if (running == null) {
            makeRoom(artifact.sidecar().sizeBytes);
            running = Running.load(artifact, engines, chosen);
            loaded.put(key, running);
        }
        return running;
    }

    private void makeRoom(long bytes) {
        long used = bytes;
        for (Running running : loaded.values()) used += running.sidecar().sizeBytes;
        for (Iterator<Running> oldest = loaded.values().iterator(); used > MOST_BYTES && oldest.hasNext(); ) {
            Running running = oldest.next();
            used -= running.sidecar().sizeBytes;
            running.close();
            oldest.remove();
        }
    }

    public void clear() {
        for (Running running : loaded.values()) running.close();
        loaded.clear();
    }
}
