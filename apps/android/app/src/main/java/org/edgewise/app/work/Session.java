package org.edgewise.app.work;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.edgewise.app.R;
import org.edgewise.app.engine.Engines;
import org.edgewise.app.engine.Settings;
import org.edgewise.app.model.Picture;
import org.edgewise.app.model.Refused;
import org.edgewise.app.store.Artifact;
import org.edgewise.app.store.Library;

/**
 * What the screens show, whatever becomes of them: the artifacts, what each answers to the picture, and what checking found.
 *
 * <p>Its methods are called on the main thread; the work is done by one thread of its own, one thing after the other.
 */
public final class Session {
    public final Changes changes = new Changes();
    private final Library library;
    private final Engines engines;
    private final Pool pool;
    private final ExecutorService worker = Executors.newSingleThreadExecutor(task -> Engines.thread("session", task));
    private final Map<String, Status> statuses = new ConcurrentHashMap<>();
    private List<Refused> problems = new ArrayList<>();
    private Map<String, Artifact> artifacts = new LinkedHashMap<>();
    private Settings settings = Settings.DEFAULT;
    private String group = "";
    private volatile Picture picture;
    private volatile int checked;
    private volatile int toCheck;
    private volatile boolean stopped;
    private boolean held;

    public Session(Library library, Engines engines) {
        this.library = library;
        this.engines = engines;
        this.pool = new Pool(engines);
        refresh();
    }

    public void refresh() {
        problems = new ArrayList<>();
        artifacts = library.artifacts(problems);
        Comparator<Map.Entry<String, List<Artifact>>> bySize = Comparator.comparingInt(group -> group.getValue().size());
        if (!groups().containsKey(group)) group = groups().entrySet().stream().max(bySize).map(Map.Entry::getKey).orElse("");
        changes.tell();
    }

    public List<Artifact> all() {
        return new ArrayList<>(artifacts.values());
    }

    public Artifact artifact(String id) throws Refused {
        Artifact artifact = artifacts.get(id);
        if (artifact == null) throw new Refused(R.string.artifact_gone, id);
        return artifact;
    }

    /** Returns what is wrong with files that should have been artifacts. */
    public List<Refused> problems() {
        return problems;
    }

    /** Returns the artifacts that can answer one picture, by group. */
    public Map<String, List<Artifact>> groups() {
        Map<String, List<Artifact>> groups = new LinkedHashMap<>();
        for (Artifact artifact : artifacts.values()) {
            groups.computeIfAbsent(artifact.sidecar().group(), g -> new ArrayList<>()).add(artifact);
        }
        return groups;
    }

    /** Returns the artifacts that answer pictures now. */
    public List<Artifact> shown() {
        return groups().getOrDefault(group, List.of());
    }

    public String group() {
        return group;
    }

    /** Lets the artifacts of another group answer from now on. */
    public void use(String chosen) {
        if (chosen.equals(group) || !groups().containsKey(chosen)) return;
        group = chosen;
        show(null);
    }

    public Settings settings() {
        return settings;
    }

    public void use(Settings chosen) {
        if (chosen.equals(settings)) return;
        settings = chosen;
        statuses.clear();
        show(picture);
    }

    public Picture picture() {
        return picture;
    }

    /** Lets every shown artifact answer a picture; null is none. */
    public void show(Picture shown) {
        picture = shown;
        for (Status one : statuses.values()) one.answer = null;
        changes.tell();
        if (shown == null || held) return;
        for (Artifact artifact : shown()) {
            worker.execute(() -> {
                if (picture == shown) attempt(artifact, shown);
            });
        }
    }

    /** Holds every artifact against its golden vectors. */
    public void check() {
        if (checking()) return;
        List<Artifact> all = all();
        stopped = false;
        checked = 0;
        toCheck = all.size();
        statuses.clear();
        changes.tell();
        for (Artifact artifact : all) {
            worker.execute(() -> {
                if (!stopped) attempt(artifact, null);
                checked++;
                changes.tell();
            });
        }
    }

    public boolean checking() {
        return checked < toCheck;
    }

    public int checked() {
        return checked;
    }

    public int toCheck() {
        return toCheck;
    }

    /** Ends the checking after the artifact that is being checked. */
    public void stop() {
        stopped = true;
    }

    /** Lets go of what is loaded, so that nothing else is in memory while times are taken. */
    public void rest() {
        worker.execute(pool::clear);
    }

    /** Answers nothing while times are taken; what is shown meanwhile is answered after it. */
    public void hold(boolean now) {
        held = now;
        show(picture);
    }

    public boolean held() {
        return held;
    }

    public Status status(String id) {
        return statuses.computeIfAbsent(id, i -> new Status());
    }

    /** Checks an artifact, and lets it answer a picture; null is none, and checks anew. Its status keeps why one of these fails. */
    private void attempt(Artifact artifact, Picture shown) {
        Status one = status(artifact.id());
        try {
            if (shown == null) one.checked = null;
            one.engine = engines.of(artifact.sidecar()).id();
            Running running = pool.get(artifact, settings);
            one.loadNs = running.loadNs();
            if (one.checked == null) one.checked = Check.run(running);
            if (shown == null) one.ran = running.ran();
            Running.Answer answer = shown == null ? null : running.answer(shown);
            if (picture == shown) one.answer = answer;
            one.problem = null;
        } catch (Refused refused) {
            one.problem = refused;
        } catch (OutOfMemoryError error) {
            one.problem = new Refused(error, R.string.out_of_memory, artifact.id());
        }
        changes.tell();
    }

    /** What is known of an artifact here; what did not come to pass yet is null. */
    public static final class Status {
        public String engine = "";
        public long loadNs;
        public Check.Checked checked;
        public Running.Answer answer;
        public Refused problem;
        public String ran;
    }
}
