package org.edgewise.app.engine;

import org.edgewise.app.R;

/** What an engine is asked to compute with. */
public enum Accelerator {
    DEFAULT("default", R.string.accelerator_default),
    XNNPACK("xnnpack", R.string.accelerator_xnnpack),
    NO_XNNPACK("no_xnnpack", R.string.accelerator_no_xnnpack),
    NNAPI("nnapi", R.string.accelerator_nnapi);

    public final String id;
    public final int name;

    Accelerator(String id, int name) {
        this.id = id;
        this.name = name;
    }

    /** Returns the one of an id, the default for none. */
    public static Accelerator of(String id) {
        for (Accelerator one : values()) if (one.id.equals(id)) return one;
        return DEFAULT;
    }
}
