package org.edgewise.app.ui;

import android.view.View;
import android.widget.AdapterView;
import android.widget.ArrayAdapter;
import android.widget.Spinner;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.edgewise.app.R;
import org.edgewise.app.model.Sidecar;
import org.edgewise.app.store.Artifact;
import org.edgewise.app.work.Session;

/** Lets a person choose between networks that cannot answer one picture; hidden where all can. */
final class GroupChoice implements AdapterView.OnItemSelectedListener {
    private final Spinner spinner;
    private final Session session;
    private List<String> keys = List.of();

    GroupChoice(Spinner spinner, Session session) {
        this.spinner = spinner;
        this.session = session;
        spinner.setOnItemSelectedListener(this);
    }

    void show() {
        Map<String, List<Artifact>> groups = session.groups();
        spinner.setVisibility(groups.size() > 1 ? View.VISIBLE : View.GONE);
        if (new ArrayList<>(groups.keySet()).equals(keys)) return;
        keys = new ArrayList<>(groups.keySet());
        List<String> names = new ArrayList<>();
        for (List<Artifact> members : groups.values()) names.add(name(members));
        ArrayAdapter<String> adapter = new ArrayAdapter<>(spinner.getContext(), R.layout.choice, names);
        adapter.setDropDownViewResource(android.R.layout.simple_spinner_dropdown_item);
        spinner.setAdapter(adapter);
        spinner.setSelection(Math.max(0, keys.indexOf(session.group())));
    }

    private String name(List<Artifact> members) {
        Set<String> models = new LinkedHashSet<>();
        for (Artifact artifact : members) models.add(artifact.sidecar().model);
        Sidecar sidecar = members.get(0).sidecar();
        return spinner.getContext().getString(R.string.networks_named, String.join(", ", models),
                sidecar.size.width(), sidecar.size.height(), sidecar.classes());
    }

    @Override
    public void onItemSelected(AdapterView<?> parent, View item, int position, long id) {
        session.use(keys.get(position));
    }

    @Override
    public void onNothingSelected(AdapterView<?> parent) {}
}
