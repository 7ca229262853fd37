package org.edgewise.app.ui;

import android.app.Activity;
import android.content.ActivityNotFoundException;
import android.content.Intent;
import android.os.Bundle;
import android.view.View;
import android.view.ViewGroup;
import android.widget.AdapterView;
import android.widget.ArrayAdapter;
import android.widget.Spinner;
import android.widget.TextView;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntConsumer;
import org.edgewise.app.App;
import org.edgewise.app.R;
import org.edgewise.app.work.Changes;
import org.edgewise.app.work.Session;

/** One of the app's screens; made anew with each activity, while what it shows lives in the app's process. */
abstract class Screen {
    // what other apps are asked for
    static final int PICTURE = 1;
    static final int PHOTO = 2;
    static final int ARTIFACT = 3;

    final Activity activity;
    final App app;
    final Session session;
    final View view;
    private final List<Changes> sources = new ArrayList<>();
    private final Runnable changed = this::show;

    /** Makes a screen of a layout that shows what the session knows; `also` are changes beside the session's. */
    Screen(Activity activity, ViewGroup parent, int layout, Changes... also) {
        this.activity = activity;
        app = (App) activity.getApplication();
        session = app.session();
        view = activity.getLayoutInflater().inflate(layout, parent, false);
        sources.add(session.changes);
        sources.addAll(List.of(also));
    }

    /** Begins to show what is known, and to hear of changes. */
    final void start() {
        for (Changes changes : sources) changes.listen(changed);
        show();
    }

    final void stop() {
        for (Changes changes : sources) changes.forget(changed);
    }

    abstract void show();

    /** Keeps what only this screen knows, for when the process was killed. */
    void save(Bundle state) {}

    void restore(Bundle state) {}

    /** Takes what another app gave; `request` is what it was asked for. */
    void result(int request, Intent data) {}

    static void text(View view, int id, String text) {
        ((TextView) view.findViewById(id)).setText(text);
    }

    /** Shows a text in a line, which is hidden where there is none. */
    static void line(View view, int id, String text) {
        TextView line = view.findViewById(id);
        line.setText(text);
        line.setVisibility(text.isEmpty() ? View.GONE : View.VISIBLE);
    }

    /** Says a sentence in the line below what it is about; what went wrong in another colour. "" hides the line. */
    final void say(int id, String sentence, boolean wrong) {
        line(view, id, sentence);
        ((TextView) view.findViewById(id)).setTextColor(activity.getColor(wrong ? R.color.bad : R.color.soft));
    }

    /** Returns what asks the phone's file app for a file of a type. */
    static Intent document(String type) {
        return new Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE).setType(type);
    }

    /** Asks another app for something; where there is none, a line says `otherwise`. */
    final void ask(Intent intent, int request, int line, int otherwise) {
        try {
            activity.startActivityForResult(intent, request);
        } catch (ActivityNotFoundException error) {
            say(line, activity.getString(otherwise), true);
        }
    }

    /** Fills a list of which one is chosen; `chosen` hears of each choice. */
    static void offer(Spinner spinner, List<String> names, IntConsumer chosen) {
        ArrayAdapter<String> adapter = new ArrayAdapter<>(spinner.getContext(), R.layout.choice, names);
        adapter.setDropDownViewResource(android.R.layout.simple_spinner_dropdown_item);
        spinner.setAdapter(adapter);
        spinner.setOnItemSelectedListener(new AdapterView.OnItemSelectedListener() {
            @Override
            public void onItemSelected(AdapterView<?> parent, View item, int position, long id) {
                chosen.accept(position);
            }

            @Override
            public void onNothingSelected(AdapterView<?> parent) {}
        });
    }

    /** Makes a list hold as many rows of a layout as there are things to show. */
    final void count(ViewGroup list, int layout, int rows) {
        while (list.getChildCount() > rows) list.removeViewAt(list.getChildCount() - 1);
        while (list.getChildCount() < rows) list.addView(activity.getLayoutInflater().inflate(layout, list, false));
    }
}
