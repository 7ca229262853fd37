package org.edgewise.app.ui;

import android.view.View;
import android.widget.Spinner;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import org.edgewise.app.R;
import org.edgewise.app.engine.Accelerator;
import org.edgewise.app.engine.Engine;
import org.edgewise.app.engine.Engines;
import org.edgewise.app.engine.Settings;
import org.edgewise.app.work.Session;

/** Lets a person choose threads, and what engines are asked to compute with: what at least one of them offers. */
final class SettingsChoice {
    private static final int[] THREADS = {1, 2, 4};

    private final Spinner threads;
    private final Spinner accelerator;
    private final List<Accelerator> offered;
    private final Session session;

    SettingsChoice(View view, Session session, Engines engines) {
        this.session = session;
        threads = view.findViewById(R.id.threads);
        accelerator = view.findViewById(R.id.accelerator);
        Set<Accelerator> all = EnumSet.of(Accelerator.DEFAULT);
        for (Engine engine : engines.all()) all.addAll(engine.accelerators());
        offered = new ArrayList<>(all);
        List<String> counts = new ArrayList<>();
        for (int count : THREADS) counts.add(view.getResources().getQuantityString(R.plurals.threads, count, count));
        List<String> names = new ArrayList<>();
        for (Accelerator one : offered) names.add(view.getResources().getString(one.name));
        Screen.offer(threads, counts, chosen -> use());
        Screen.offer(accelerator, names, chosen -> use());
        show();
    }

    /** Shows the settings, which another screen may have changed. */
    void show() {
        for (int i = 0; i < THREADS.length; i++) if (THREADS[i] == session.settings().threads()) threads.setSelection(i);
        accelerator.setSelection(Math.max(0, offered.indexOf(session.settings().accelerator())));
    }

    void enable(boolean enabled) {
        threads.setEnabled(enabled);
        accelerator.setEnabled(enabled);
    }

    private void use() {
        session.use(new Settings(THREADS[threads.getSelectedItemPosition()], offered.get(accelerator.getSelectedItemPosition())));
    }
}
