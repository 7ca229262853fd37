// For those who open the app in Android Studio. Never run by the project itself: `nox -s "apps(android)"` builds without it.
pluginManagement {
    repositories {
        google()
        mavenCentral()
        gradlePluginPortal()
    }
}
dependencyResolutionManagement {
    repositories {
        google()
        mavenCentral()
    }
}
rootProject.name = "edgewise"
include(":app")
