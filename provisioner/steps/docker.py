"""Docker on a host: installed as its distribution does it, and started (the paper's step 2.2)."""

from __future__ import annotations

import shlex

from provisioner import catalog
from provisioner.errors import CommandError, HostError
from provisioner.hosts.docker_ways import LOOK_SCRIPT, in_the_way, obstacle, removal
from provisioner.hosts.facts import HostFacts
from provisioner.inventory.mirrors import check_reach, host_of
from provisioner.render import render
from provisioner.step import ABSENT, Description, Finding, Presence, RenderedFile
from provisioner.steps.base import HostStep

SCRIPT = "provisioner/install-docker.sh"
"""Below the login's home folder."""

INSTALL_TIMEOUT_S = 1800.0


class DockerStep(HostStep):
    """A running Docker engine on one host. One that is there already is left alone; the packages outlive `down`."""

    part = "docker"

    def describe(self) -> Description:
        """The script. Of a host that is not known yet it depends on what the host turns out to be.

        Raises UsageError for a repository that does not answer in the region.
        """
        facts = self._host.facts_or_expected
        if not facts.distribution:
            return Description("Install and start Docker, unless it runs already")
        chosen = self._recipe(facts)
        if chosen is None:
            return Description("Use the Docker engine that is there", warnings=(self._unknown(facts).message,))
        warnings: tuple[str, ...] = ()
        if chosen.title == "docker-ce":
            mirror = self._spec.docker.repository_mirror
            remedy = "take it out to use Alibaba's own"
            warnings = check_reach(self._spec, "docker.repository_mirror", "docker-ce", host_of(mirror), remedy)
        return Description(
            f"Install and start Docker: {chosen.title}",
            files=(RenderedFile(self._host.name, SCRIPT, self._script(chosen, facts), 0o755),),
            warnings=warnings,
        )

    def check(self) -> Finding:
        """Present when the engine answers."""
        version = self._host.engine().ping()
        return ABSENT if version is None else Finding(Presence.PRESENT, f"Docker {version}")

    def apply(self) -> None:
        """Upload the script and run it, as root. Raises HostError when something there is in the way."""
        facts = self._host.facts()
        chosen = self._recipe(facts)
        connection = self._host.connection()
        sudo = "" if facts.user == "root" else "sudo -n "
        is_root = not sudo or connection.run("sudo -n true", timeout_s=60, check=False).status == 0
        look = connection.run(LOOK_SCRIPT, timeout_s=60, check=False).output
        obstacle_there = obstacle(look, self._host.name, facts, chosen.conflicts if chosen else (), is_root=is_root)
        if obstacle_there:
            raise HostError(obstacle_there.what, obstacle_there.remedy, host=self._host.name)
        if chosen is None:
            raise self._unknown(facts)
        if not is_root:
            raise HostError(
                f"{facts.user} on {self._host.name} may not use sudo without a password, so Docker cannot be installed",
                "log in as another user (ssh.user), or install and start Docker there",
                host=self._host.name,
            )
        connection.put(self._script(chosen, facts).encode(), SCRIPT, mode=0o755)
        try:
            connection.run(f"{sudo}bash {SCRIPT}", timeout_s=INSTALL_TIMEOUT_S, on_line=self._tell)
        except CommandError as error:
            blocking = in_the_way("\n".join(error.tail))
            if not blocking:
                raise
            raise HostError(
                f"Docker cannot be installed on {self._host.name} beside {', '.join(blocking)}",
                f"make room for it there, `{removal(blocking, facts.package_manager)}`, then run the command again",
                host=self._host.name,
                tail=error.tail,
            ) from error

    def _tell(self, line: str) -> None:
        """Of a package manager's hundreds of lines, only the script's own."""
        if line.startswith("==> "):
            self._host.tell(line[4:])

    def _recipe(self, facts: HostFacts) -> catalog.DockerRecipe | None:
        package = self._spec.docker.package
        return catalog.docker_recipe(facts.distribution, facts.distribution_version, facts.package_manager, package)

    def _script(self, chosen: catalog.DockerRecipe, facts: HostFacts) -> str:
        return render(
            f"docker/{chosen.script}",
            title=chosen.title,
            mirror=shlex.quote(self._spec.docker.repository_mirror.rstrip("/")),
            distribution=shlex.quote(facts.distribution),
            codename=shlex.quote(chosen.codename),
            release=chosen.release,
            own=shlex.quote(chosen.own),
        )

    def _unknown(self, facts: HostFacts) -> HostError:
        system = f"{facts.distribution} {facts.distribution_version}".strip() or "its distribution"
        package = self._spec.docker.package
        what = "Docker" if package == "auto" else package
        return HostError(
            f"how to install {what} on {self._host.name} is not known for {system}",
            "install and start Docker there: an engine that runs is left as it is",
            host=self._host.name,
        )
