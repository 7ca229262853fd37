package org.edgewise.app.work;

import org.edgewise.app.model.Refused;

/** What is known of an artifact here; what did not come to pass yet is null. */
public final class Status {
    public String engine = "";
    public long loadNs;
    public Check.Checked checked;
    public Answer answer;
    public Refused problem;
    public String ran;
}
