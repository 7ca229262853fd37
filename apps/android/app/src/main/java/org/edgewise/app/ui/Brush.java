package org.edgewise.app.ui;

import android.widget.SeekBar;

/** Sets how wide strokes are, from 5 to 16 % of the pad. */
final class Brush implements SeekBar.OnSeekBarChangeListener {
    private final PadView pad;

    Brush(PadView pad) {
        this.pad = pad;
    }

    @Override
    public void onProgressChanged(SeekBar bar, int progress, boolean byPerson) {
        pad.setBrush((5 + progress) / 100f);
    }

    @Override
    public void onStartTrackingTouch(SeekBar bar) {}

    @Override
    public void onStopTrackingTouch(SeekBar bar) {}
}
