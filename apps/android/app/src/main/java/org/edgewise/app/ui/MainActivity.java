package org.edgewise.app.ui;

import android.app.Activity;
import android.content.Intent;
import android.os.Bundle;
import android.view.View;
import android.view.ViewGroup;
import android.widget.TextView;
import org.edgewise.app.App;
import org.edgewise.app.R;

/** The app's window: three screens, one at a time. */
public final class MainActivity extends Activity {
    private static final String TAB = "tab";
    private static final int[] TABS = {R.id.tab_compare, R.id.tab_check, R.id.tab_benchmark};

    private App app;
    private Screen[] screens;
    private int shown;

    @Override
    protected void onCreate(Bundle state) {
        super.onCreate(state);
        setContentView(R.layout.main);
        ViewGroup content = findViewById(R.id.content);
        app = (App) getApplication();
        screens = new Screen[] {
            new CompareScreen(this, content), new CheckScreen(this, content), new BenchmarkScreen(this, content, app)
        };
        for (int i = 0; i < TABS.length; i++) {
            int index = i;
            content.addView(screens[i].view);
            findViewById(TABS[i]).setOnClickListener(tab -> show(index));
        }
        if (state != null) for (Screen screen : screens) screen.restore(state);
        boolean resumed = app.measuring().resume(); // a run that was killed goes on
        show(resumed ? TABS.length - 1 : state == null ? 0 : state.getInt(TAB));
    }

    private void show(int index) {
        shown = index;
        for (int i = 0; i < TABS.length; i++) {
            screens[i].view.setVisibility(i == index ? View.VISIBLE : View.GONE);
            findViewById(TABS[i]).setSelected(i == index);
        }
        setTitle(((TextView) findViewById(TABS[index])).getText()); // which TalkBack reads
    }

    @Override
    protected void onStart() {
        super.onStart();
        for (Screen screen : screens) screen.start();
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
    }

    @Override
    protected void onStop() {
        super.onStop();
        for (Screen screen : screens) screen.stop();
    }

    @Override
    protected void onSaveInstanceState(Bundle state) {
        super.onSaveInstanceState(state);
        state.putInt(TAB, shown);
        for (Screen screen : screens) screen.save(state);
    }

    @Override
    protected void onActivityResult(int request, int result, Intent data) {
        if (result != RESULT_OK || data == null) return; // a person changed their mind
        for (Screen screen : screens) screen.result(request, data);
    }
}
