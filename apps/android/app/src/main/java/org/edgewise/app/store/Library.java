package org.edgewise.app.store;

import android.content.Context;
import android.database.Cursor;
import android.net.Uri;
import android.provider.OpenableColumns;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.edgewise.app.R;
import org.edgewise.app.model.Refused;
import org.edgewise.app.model.Sidecar;

/** Every artifact that is here: those packed into the app, and those that were opened from the phone's files. */
public final class Library {
    private final Context context;
    private final String packed;
    private final File verified;
    private final File opened;

    /** Takes the folder of the assets that holds the packed artifacts. */
    public Library(Context context, String packed) {
        this.context = context;
        this.packed = packed;
        verified = new File(context.getFilesDir(), "verified");
        opened = new File(context.getFilesDir(), "opened");
    }

    /** Returns the artifacts by id, opened ones in place of packed ones of the same id; broken ones are told to `problems`. */
    public Map<String, Artifact> artifacts(List<Refused> problems) {
        Map<String, Artifact> artifacts = new LinkedHashMap<>();
        try {
            String[] names = context.getAssets().list(packed);
            Arrays.sort(names);
            for (String name : names) {
                if (name.endsWith(".json")) add(artifacts, problems, () -> context.getAssets().open(packed + "/" + name), true);
            }
        } catch (IOException error) {
            // nothing was packed
        }
        for (File file : Texts.list(opened, ".*\\.json")) add(artifacts, problems, () -> new FileInputStream(file), false);
        return artifacts;
    }

    private void add(Map<String, Artifact> artifacts, List<Refused> problems, Artifact.Source json, boolean isPacked) {
        try {
            Artifact artifact = artifact(Sidecar.parse(Texts.read(json.open())), isPacked);
            artifacts.put(artifact.id(), artifact);
        } catch (Refused problem) {
            problems.add(problem);
        } catch (IOException error) {
            problems.add(new Refused(error, R.string.cannot_read, Refused.firstLine(error)));
        }
    }

    private Artifact artifact(Sidecar sidecar, boolean isPacked) {
        Artifact.Source source = isPacked
                ? () -> context.getAssets().open(packed + "/" + sidecar.file)
                : () -> new FileInputStream(new File(opened, sidecar.file));
        return new Artifact(sidecar, source, isPacked, verified);
    }

    /** Keeps the artifact of two files that a person chose, it and its sidecar in either order; refuses anything else. */
    public Artifact open(List<Uri> chosen) throws Refused {
        if (chosen.size() != 2) throw new Refused(R.string.choose_two, chosen.size());
        boolean first = isJson(chosen.get(0));
        if (first == isJson(chosen.get(1))) throw new Refused(first ? R.string.two_sidecars : R.string.no_sidecar);
        Uri sidecar = chosen.get(first ? 0 : 1);
        Uri bytes = chosen.get(first ? 1 : 0);
        try {
            return keep(Texts.read(stream(sidecar)), stream(bytes));
        } catch (IOException error) {
            throw new Refused(error, R.string.cannot_read, Refused.firstLine(error));
        }
    }

    private boolean isJson(Uri uri) throws Refused {
        try (InputStream stream = stream(uri)) {
            int first = stream.read();
            if (first < 0) throw new Refused(R.string.empty_file, name(uri));
            return first == '{';
        } catch (IOException error) {
            throw new Refused(error, R.string.cannot_read, Refused.firstLine(error));
        }
    }

    private InputStream stream(Uri uri) throws IOException, Refused {
        try {
            InputStream stream = context.getContentResolver().openInputStream(uri);
            if (stream == null) throw new FileNotFoundException(name(uri));
            return stream;
        } catch (SecurityException | UnsupportedOperationException error) {
            throw new Refused(error, R.string.cannot_read, Refused.firstLine(error));
        }
    }

    private String name(Uri uri) {
        try (Cursor cursor = context.getContentResolver().query(uri, new String[] {OpenableColumns.DISPLAY_NAME}, null, null, null)) {
            if (cursor != null && cursor.moveToFirst()) return cursor.getString(0);
        } catch (RuntimeException error) {
            // a provider that does not tell a name: the address must do
        }
        return String.valueOf(uri.getLastPathSegment());
    }

    /** Keeps an opened artifact with its sidecar; refuses bytes that are not what the sidecar says, and keeps nothing then. */
    public Artifact keep(String json, InputStream bytes) throws Refused {
        Sidecar sidecar = Sidecar.parse(json);
        File file = new File(opened, sidecar.file);
        Digest.copy(bytes, file, sidecar);
        try {
            Texts.write(new File(opened, sidecar.id + ".json"), json);
        } catch (IOException error) {
            file.delete(); // a file without its sidecar would never be shown, nor removed
            throw Digest.unwritten(error, file, sidecar);
        }
        return artifact(sidecar, false);
    }

    public void remove(Artifact artifact) {
        new File(opened, artifact.id() + ".json").delete();
        new File(opened, artifact.sidecar().file).delete();
    }
}
