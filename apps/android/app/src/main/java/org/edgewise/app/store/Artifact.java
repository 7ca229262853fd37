package org.edgewise.app.store;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import org.edgewise.app.R;
import org.edgewise.app.model.Refused;
import org.edgewise.app.model.Sidecar;

/** An artifact that is here: its sidecar, its bytes, whether the app holds these, and the folder for a verified copy. */
public record Artifact(Sidecar sidecar, Source source, boolean packed, File folder) {
    public interface Source {
        InputStream open() throws IOException;
    }

    public String id() {
        return sidecar.id;
    }

    /** Returns a file that holds exactly what the sidecar promises, copied and verified when it is first asked for. */
    public File file() throws Refused {
        String suffix = sidecar.file.substring(sidecar.file.lastIndexOf('.'));
        File file = new File(folder, sidecar.sha256 + suffix);
        if (file.length() == sidecar.sizeBytes && file.exists()) return file;
        try {
            Digest.copy(source.open(), file, sidecar);
        } catch (IOException error) {
            throw new Refused(error, R.string.artifact_gone, sidecar.file);
        }
        return file;
    }
}
