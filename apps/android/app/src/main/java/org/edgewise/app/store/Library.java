package org.edgewise.app.store;

import android.content.Context;
import java.io.File;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.edgewise.app.R;
import org.edgewise.app.model.Refused;
import org.edgewise.app.model.Sidecar;

/** Every artifact that is here: those packed into the app, and those that were opened from the phone's files. */
public final class Library {
    private static final String PACKED = "artifacts";

    private final Context context;
    private final File verified;
    private final File opened;

    public Library(Context context) {
        this.context = context;
        verified = new File(context.getFilesDir(), "verified");
        opened = new File(context.getFilesDir(), "opened");
    }

    /** Returns the artifacts by id, opened ones in place of packed ones of the same id; broken ones are told to `problems`. */
    public Map<String, Artifact> artifacts(List<Refused> problems) {
        Map<String, Artifact> found = new LinkedHashMap<>();
        for (String name : assets()) {
            if (name.endsWith(".json")) add(found, problems, () -> context.getAssets().open(PACKED + "/" + name), true);
        }
        File[] files = opened.listFiles((folder, name) -> name.endsWith(".json"));
        if (files != null) {
            Arrays.sort(files);
            for (File file : files) add(found, problems, () -> new FileInputStream(file), false);
        }
        return found;
    }

    private List<String> assets() {
        try {
            List<String> names = new ArrayList<>(List.of(context.getAssets().list(PACKED)));
            Collections.sort(names);
            return names;
        } catch (IOException error) {
            return List.of();
        }
    }

    private void add(Map<String, Artifact> found, List<Refused> problems, Artifact.Source json, boolean packed) {
        try {
            Artifact artifact = artifact(Sidecar.parse(Texts.read(json.open())), packed);
            found.put(artifact.id(), artifact);
        } catch (Refused problem) {
            problems.add(problem);
        } catch (IOException error) {
            problems.add(new Refused(error, R.string.cannot_read, Refused.firstLine(error)));
        }
    }

    private Artifact artifact(Sidecar sidecar, boolean packed) {
        Artifact.Source source = packed
                ? () -> context.getAssets().open(PACKED + "/" + sidecar.file)
                : () -> new FileInputStream(new File(opened, sidecar.file));
        return new Artifact(sidecar, source, packed, verified);
    }

    /** Keeps an opened artifact with its sidecar; refuses bytes that are not what the sidecar says, and keeps nothing then. */
    public Artifact keep(String json, InputStream bytes) throws Refused {
        Sidecar sidecar = Sidecar.parse(json);
        try {
            Digest.copy(bytes, new File(opened, sidecar.file), sidecar);
            Texts.write(new File(opened, sidecar.id + ".json"), json);
        } catch (IOException error) {
            throw new Refused(error, R.string.no_room, sidecar.file, context.getFilesDir().getUsableSpace() >> 20);
        }
        return artifact(sidecar, false);
    }

    /** Forgets an opened artifact. */
    public void remove(Artifact artifact) {
        new File(opened, artifact.id() + ".json").delete();
        new File(opened, artifact.sidecar.file).delete();
    }
}
