package org.edgewise.app.bench;

import java.io.File;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.NoSuchFileException;
import java.util.ArrayList;
import java.util.List;
import org.edgewise.app.store.Texts;
import org.json.JSONArray;
import org.json.JSONException;
import org.json.JSONObject;

/** A benchmark's files: its plan, the samples of what was timed, and a row for each artifact that is finished. */
public final class Folder {
    private static final String TRYING = "trying";

    private final File folder;
    private String listed = "";
    private List<JSONObject> read = List.of(); // the rows of what is listed

    public Folder(File folder) {
        this.folder = folder;
    }

    /** Returns the plan of a run that was not finished; null where there is none. */
    public Plan plan() {
        try {
            return Plan.read(Texts.read(file("plan")));
        } catch (IOException | JSONException error) {
            return null; // none, or not ours any more: a new one is made
        }
    }

    void begin(Plan plan) throws IOException, JSONException {
        for (File file : Texts.list(folder, ".*")) file.delete();
        Texts.write(file("plan"), plan.json());
    }

    /** Forgets the plan: all rows are there, or the run was cancelled. */
    void end() {
        file("plan").delete();
        file(TRYING).delete();
        for (File file : Texts.list(folder, "(time|ended)-.*")) file.delete();
    }

    /**
     * Notes what is being measured, an id or "" for all: where an engine ends the whole app, the next start finds it, and does
     * not try it for ever.
     */
    void trying(String id) throws IOException, JSONException {
        Texts.write(file(TRYING), new JSONObject().put("id", id).toString());
    }

    /**
     * Returns what was being measured when the app ended, where that happened for the second time: an engine may end it by a
     * crash, while Android, or a person, ends it for reasons of their own. Null where there is no such thing.
     */
    String endedTwice() throws IOException {
        try {
            String id = new JSONObject(Texts.read(file(TRYING))).getString("id");
            file(TRYING).delete();
            File before = file("ended-" + (id.isEmpty() ? "all" : id));
            if (before.exists()) return id;
            Texts.write(before, "{}");
        } catch (JSONException | FileNotFoundException | NoSuchFileException error) {
            return null; // it did not end so
        }
        return null;
    }

    void timed(String id, Rounds.Timed timed) throws IOException, JSONException {
        JSONObject json = new JSONObject().put("samples", new JSONArray(timed.samplesNs())).put("problem", timed.problem());
        Texts.write(file("time-" + id), json.toString());
    }

    /** Returns what was timed before the app was killed; null where nothing was. */
    Rounds.Timed timed(String id) {
        try {
            JSONObject json = new JSONObject(Texts.read(file("time-" + id)));
            long[] samples = new long[json.getJSONArray("samples").length()];
            for (int i = 0; i < samples.length; i++) samples[i] = json.getJSONArray("samples").getLong(i);
            return new Rounds.Timed(samples, json.getString("problem"));
        } catch (IOException | JSONException error) {
            return null;
        }
    }

    void row(String id, JSONObject row) throws IOException, JSONException {
        Texts.write(file("row-" + id), row.toString(1));
    }

    boolean has(String id) {
        return file("row-" + id).exists();
    }

    /** Returns the rows that are finished; read again only where other files are there than the last time. */
    public synchronized List<JSONObject> rows() {
        File[] files = Texts.list(folder, "row-.*");
        List<JSONObject> rows = new ArrayList<>();
        StringBuilder listing = new StringBuilder();
        for (File file : files) listing.append(file.getName()).append(file.lastModified()).append(file.length());
        if (listing.toString().equals(listed)) return read;
        listed = listing.toString();
        read = rows;
        for (File file : files) {
            try {
                rows.add(new JSONObject(Texts.read(file)));
            } catch (IOException | JSONException error) {
                file.delete(); // it is measured again
            }
        }
        return rows;
    }

    private File file(String name) {
        return new File(folder, name + ".json");
    }
}
