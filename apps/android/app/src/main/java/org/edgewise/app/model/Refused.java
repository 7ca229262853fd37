package org.edgewise.app.model;

import android.content.res.Resources;

/** Something that a person can mend or must know; what it says is a string resource with its arguments. */
public final class Refused extends Exception {
    private final int text;
    private final Object[] arguments;

    public Refused(int text, Object... arguments) {
        this(null, text, arguments);
    }

    public Refused(Throwable cause, int text, Object... arguments) {
        super(cause);
        this.text = text;
        this.arguments = arguments;
    }

    public String sentence(Resources resources) {
        return resources.getString(text, arguments);
    }

    /** Returns the first line of what any error says, for what libraries throw; of a file only what is wrong, not its long path. */
    public static String firstLine(Throwable error) {
        String message = error.getMessage();
        if (message == null || message.trim().isEmpty()) return error.getClass().getSimpleName();
        String line = message.trim().split("\n", 2)[0].replaceFirst("^/\\S+ \\((.+)\\)$", "$1");
        return line.length() > 300 ? line.substring(0, 300) + "…" : line;
    }
}
