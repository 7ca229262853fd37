package org.edgewise.app.ui;

import android.app.Activity;
import android.content.Intent;
import android.os.Bundle;
import android.view.WindowManager;
import android.widget.TextView;
import java.io.IOException;
import org.edgewise.app.App;
import org.edgewise.app.R;
import org.edgewise.app.bench.Job;
import org.edgewise.app.engine.Engines;
import org.edgewise.app.model.Refused;

/** Measures what a computer asks for over adb; only adb's shell may start it (see the manifest). */
public final class RunActivity extends Activity {
    private static final String NAME = "[A-Za-z0-9._-]{1,200}";
    private static Job job; // that runs: one at a time, whatever becomes of this window
    private static Thread thread;
    private App app;

    @Override
    protected void onCreate(Bundle state) {
        super.onCreate(state);
        setContentView(R.layout.run);
        app = (App) getApplication();
        getWindow().addFlags(WindowManager.LayoutParams.FLAG_KEEP_SCREEN_ON);
        if (state == null) accept(getIntent());
    }

    @Override
    protected void onNewIntent(Intent intent) {
        super.onNewIntent(intent);
        accept(intent);
    }

    private void accept(Intent intent) {
        TextView line = findViewById(R.id.run_status);
        try {
            Job.prepare(this);
        } catch (IOException error) {
            line.setText(getString(R.string.bench_no_room, Refused.firstLine(error)));
            return;
        }
        String name = intent.getStringExtra("job");
        if (name == null || !name.matches(NAME)) {
            line.setText(R.string.run_ready);
            return;
        }
        Job next = new Job(name, getExternalFilesDir(null), app, app.engines(), app.front);
        if (app.measuring().running()) { // two at a time would time each other
            line.setText(R.string.run_busy);
            next.tell("failed", getString(R.string.run_busy), 0, 0);
            return;
        }
        line.setText(getString(R.string.run_job, name));
        app.session().rest();
        if (thread != null) thread.interrupt(); // of a computer that went away
        job = next;
        if (!app.front.is()) job.tell("paused", "", 0, 0); // behind a locked screen it stays so
        thread = Engines.thread("job", job::run);
        thread.start();
    }

    @Override
    protected void onResume() {
        super.onResume();
        app.front.shown();
    }

    @Override
    protected void onPause() {
        super.onPause();
        app.front.hidden();
        if (job != null && thread.isAlive()) job.tell("paused", "", 0, 0);
    }
}
